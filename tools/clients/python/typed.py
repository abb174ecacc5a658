"""Asks a running tenet with the client that openapi-python-client makes of its description."""

import os

from python import AuthenticatedClient
from python.api.rules import create_rule, get_rule, list_rules
from python.models import RuleInput

with AuthenticatedClient(base_url=os.environ["TENET_URL"], token=os.environ["TENET_TOKEN"]) as client:
    body = RuleInput(
        rule_id="CLIENT-PYTHON", category="security", title="Written by a Python client", description="In Python.", tags=["python-client"]
    )
    made = create_rule.sync(client=client, body=body)
    assert made.version == 1, made
    page = list_rules.sync(client=client, tag="python-client")
    assert page.items[0].rule_id == "CLIENT-PYTHON", page
    none = get_rule.sync("NONE", client=client)
    assert none.code == "not_found", none
