// The peer: node-oidc-provider with its in-memory adapter, for client_credentials only, in WORKERS processes.
// The cluster's primary hands connections to the workers in turn, so both get the same share of them.
// A request without `resource` gets an opaque token; `resource=urn:bench:ES256` a JWT signed by that algorithm.
import cluster from 'node:cluster';
import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const { PORT, WORKERS, CLIENT_ID, CLIENT_SECRET } = process.env;
const RESOURCE = 'urn:bench:';
const SCOPE = 'read write';

function privateJwk(type, options, alg) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg };
}

function startWorkers() {
  cluster.schedulingPolicy = cluster.SCHED_RR;
  const keys = [
    privateJwk('rsa', { modulusLength: 2048 }, 'RS256'),
    privateJwk('ec', { namedCurve: 'P-256' }, 'ES256'),
  ];
  for (let n = 0; n < Number(WORKERS); n += 1) cluster.fork({ KEYS: JSON.stringify(keys) });
  cluster.on('exit', () => process.exit(1));
}

function configuration() {
  return {
    jwks: { keys: JSON.parse(process.env.KEYS) },
    clients: [{
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      scope: SCOPE,
    }],
    scopes: SCOPE.split(' '),
    ttl: { ClientCredentials: 3600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: SCOPE,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: resource.slice(RESOURCE.length) } },
        }),
      },
    },
  };
}

if (cluster.isPrimary) startWorkers();
else new Provider(`http://127.0.0.1:${PORT}`, configuration()).listen(Number(PORT), '127.0.0.1');
