"""Asks a running tenet with the client that OpenAPI Generator makes of its description."""

import json
import os

from tenet_client import ApiClient, Configuration, RuleInput, RulesApi, SearchApi
from tenet_client.rest import ApiException

config = Configuration(host=os.environ["TENET_URL"])
config.access_token = os.environ["TENET_TOKEN"]
with ApiClient(config) as client:
    rules = RulesApi(client)
    body = RuleInput(
        rule_id="CLIENT-PYTHON-SDK", category="security", title="Written by a generated SDK", description="In Python.", tags=["python-sdk"]
    )
    made = rules.create_rule(body)
    assert made.version == 1, made
    changed = rules.patch_rule("CLIENT-PYTHON-SDK", {"title": "Changed by a generated SDK"})
    assert changed.title == "Changed by a generated SDK", changed
    page = rules.list_rules(tag="python-sdk")
    assert [r.rule_id for r in page.items] == ["CLIENT-PYTHON-SDK"], page
    found = SearchApi(client).search(q="generated SDK")
    assert found.hits, found
    try:
        raise AssertionError(rules.get_rule("NONE"))
    except ApiException as none:
        assert none.status == 404 and json.loads(none.body)["code"] == "not_found", none
