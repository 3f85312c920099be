"""How many secrets expire soon is a figure, of each tenant."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from mintmark.admin.client_secrets import add_secret
from tests.endpoints.in_process import InProcess


async def test_secrets_that_expire_soon_are_counted_by_tenant(application: InProcess):
    await application.add_tenant("main")
    administration = application.administration
    soon, late = administration.now() + 86_400, administration.now() + 365 * 86_400
    await add_secret(administration, "main", "meter", expires_at=soon)
    await add_secret(administration, "main", "meter", expires_at=late)

    text = (await application.application.observation.write_figures()).decode()

    family = next(one for one in text_string_to_metric_families(text) if "expiring" in one.name)
    assert [(sample.labels, sample.value) for sample in family.samples] == [({"tenant": "main"}, 1.0)]
