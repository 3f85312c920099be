#!/bin/sh
# A token in each of the five dialects, by curl. Start the demo first: mintmark serve --demo
set -eu

echo "OAuth 2.0 (RFC 6749): credentials in a Basic header, a form as body"
curl -fsS -u demo:demo-secret-not-for-production -d grant_type=client_credentials -d scope=read \
    http://127.0.0.1:8080/oauth2/token
echo

echo "Tencent CIAM: credentials in the form; the Host header names the tenant"
curl -fsS -H 'Host: sample.portal.tencentciam.com' -d grant_type=client_credentials \
    -d client_id=TENANT_CLIENT_ID -d client_secret=TENANT_CLIENT_SECRET -d scope=identity_proofing \
    http://127.0.0.1:8080/oauth2/token
echo

# -k: the demo's certificate is its own. Against a server of yours, leave it out.
echo "WSO2: a live token is handed out again"
curl -fsS -k -u wso2-demo:wso2-demo-secret -d grant_type=client_credentials https://localhost:9443/oauth2/token
echo

echo "Huawei OneAccess: an id_token comes with it"
curl -fsS -d grant_type=client_credentials -d client_id=ONtQq2igSggfFClyGgzmuXR8ubWEPdemo \
    -d client_secret=XdqUmJpG19hNEHz3472XsPcwvfedemo http://127.0.0.1:8080/api/v2/tenant/token
echo

echo "Omada: the grant type in the URL, JSON in and out, always HTTP 200"
curl -fsS -k -H 'Content-Type: application/json' \
    -d '{"omadacId": "de382a0e78f4deb681f3128c3e75dbd1", "client_id": "185586e0df424f5ea938de13cba91e01",
         "client_secret": "767372a5258a4fc1a03c57f3d071fc35"}' \
    'https://localhost:8043/openapi/authorize/token?grant_type=client_credentials'
echo
