from __future__ import annotations

import pytest

from spotkeeper_lab import actions, scenario, steps
from spotkeeper_lab.durations import SHORT
from spotkeeper_lab.local_aws.market import MESSAGES
from spotkeeper_lab.reading import ScenarioError
from spotkeeper_lab.scenario import Market, load, names, parse

SMALLEST = "description: Nothing happens.\nsteps: [{do: wait}]\n"


def test_the_scenarios_of_the_house_can_be_read_and_the_default_comes_first():
    assert names()[0] == scenario.DEFAULT
    assert set(names()) >= {"one-interruption", "storm", "drought", "rebalance", "noise", "finish"}
    assert set(names()) >= {"crash", "throttle", "dark", "quota"}
    for name in names():
        assert load(name).name == name


def test_what_is_not_given_has_its_default():
    found = parse(SMALLEST, "calm.yaml")
    assert (found.name, found.nodes, found.fleet, found.durations) == ("calm", 4, {}, SHORT)
    assert found.expect.returned_to_spot
    assert found.steps[0].when == "now"


def test_given_values_reach_their_place():
    found = parse(
        """
        name: mine
        description: >
          Two
          lines.
        nodes: 5
        fleet: {policy: patient, policyWaitSeconds: 3}
        trainer: {epochs: 7}
        durations: {notice_seconds: 4, boot_seconds: 0.5, step_seconds: 0.01}
        market: {capacity: 3, why: quota}
        steps:
          - {when: training, after: 1, do: interrupt, target: half, warn: false}
          - {do: send-events, sort: malformed, count: 3}
          - {do: throttle, share: 0.25, seconds: 3}
          - {do: refuse, why: configuration, capacity: 1}
        expect: {returned_to_spot: false, alarms: [quota]}
        """,
        "x.yaml",
    )
    assert (found.name, found.description, found.nodes) == ("mine", "Two lines.", 5)
    assert found.fleet == {"policy": "patient", "policyWaitSeconds": 3.0}
    assert found.trainer.epochs == 7
    assert found.durations.fleet["notice_seconds"] == 4
    assert found.durations.cloud["boot_seconds"] == 0.5
    assert found.durations.step_seconds == 0.01
    first, second, third, fourth = found.steps
    assert (first.when, first.after, first.target, first.warn) == ("training", 1.0, "half", False)
    assert (second.sort, second.count) == ("malformed", 3)
    assert (third.share, third.seconds) == (0.25, 3.0)
    assert (fourth.why, fourth.capacity) == ("configuration", 1)
    assert found.market == Market(3, "quota")
    assert not found.expect.returned_to_spot
    assert found.expect.alarms == ("quota",)


def test_a_fleet_whose_nodes_train_together():
    found = parse(SMALLEST + "fleet: {gang: region, elastic: {join: now}, aws: {instanceTypes: [g5.xlarge]}}", "x.yaml")
    assert found.fleet == {"gang": "region", "elastic": {"join": "now"}}
    assert (found.own["aws"], found.own["gcp"]) == ({"instanceTypes": ["g5.xlarge"]}, {})
    assert (found.elastic, parse(SMALLEST, "x.yaml").elastic) == (True, False)


@pytest.mark.parametrize(
    ("line", "key", "was", "expected"),
    [
        ("nodes: 0", "nodes", "0", "at least 1"),
        ("nodes: true", "nodes", "True", "a whole number"),
        ("nodes: 2.5", "nodes", "2.5", "a whole number"),
        ("speed: 2", "speed", "2", "no such key"),
        ("fleet: {nodes: 2}", "fleet.nodes", "2", "onDemandBase"),
        ("fleet: {policy: 3}", "fleet.policy", "3", "a string"),
        ("trainer: {epochs: 0}", "trainer.epochs", "0", "at least 1"),
        ("durations: {boot: 1}", "durations.boot", "1", "boot_seconds"),
        ("durations: {notice_seconds: -1}", "durations.notice_seconds", "-1", "at least 0"),
        ("durations: [1]", "durations", "[1]", "a mapping"),
        ("expect: {released: 1}", "expect.released", "1", "true or false"),
        ("steps: []", "steps", "[]", "at least one step"),
        ("steps: [wait]", "steps[0]", "'wait'", "a mapping"),
        ("steps: [{when: training}]", "steps[0].do", "None", "a string"),
        ("steps: [{do: dance}]", "steps[0].do", "'dance'", "interrupt"),
        ("steps: [{do: wait, when: later}]", "steps[0].when", "'later'", "training-mid-epoch"),
        ("steps: [{do: wait, after: soon}]", "steps[0].after", "'soon'", "a number"),
        ("steps: [{do: wait}, {do: interrupt, target: me}]", "steps[1].target", "'me'", "holder"),
        ("steps: [{do: wait, target: holder}]", "steps[0].target", "'holder'", "no such key"),
        ("steps: [{do: send-events, sort: nice}]", "steps[0].sort", "'nice'", "foreign"),
        ("steps: [{do: throttle, share: 1.5}]", "steps[0].share", "1.5", "at most 1"),
        ("steps: [{do: refuse, why: price}]", "steps[0].why", "'price'", "quota"),
        ("market: {capacity: -1}", "market.capacity", "-1", "at least 0"),
        ("market: {room: 1}", "market.room", "1", "capacity, why"),
        ("expect: {alarms: quota}", "expect.alarms", "'quota'", "a list"),
        ("expect: {alarms: [1]}", "expect.alarms", "[1]", "a list of strings"),
        ("steps: [{do: deploy, config: {nodes: 0}}]", "steps[0].config.nodes", "0", "at least 1"),
        ("steps: [{do: deploy, config: {command: x}}]", "steps[0].config.command", "'x'", "nodes, timings"),
        ("steps: [{do: deploy, config: {timings: {boot: 1}}}]", "steps[0].config.timings.boot", "1", "imds_poll"),
        ("steps: [{do: destroy, config: {}}]", "steps[0].config", "{}", "no such key"),
        ("steps: [{do: thaw, parts: half}]", "steps[0].parts", "'half'", "all, job"),
        ("steps: [{do: kill, warn: true}]", "steps[0].warn", "True", "no such key"),
        ("steps: [{do: forge, count: 0}]", "steps[0].count", "0", "at least 1"),
        ("steps: [{do: forge, seed: -1}]", "steps[0].seed", "-1", "at least 0"),
        ("steps: [{do: drought, capacity: -1}]", "steps[0].capacity", "-1", "at least 0"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_expected(line, key, was, expected):
    given = line if line.startswith("steps") else line + "\nsteps: [{do: wait}]"
    with pytest.raises(ScenarioError) as refused:
        parse(f"description: x\n{given}\n", "mine.yaml")
    message = str(refused.value)
    assert message.startswith(f"mine.yaml: {key}: was {was}, expected ")
    assert expected in message


def test_what_is_not_yaml_or_no_mapping_is_refused():
    with pytest.raises(ScenarioError, match=r"mine\.yaml: not YAML"):
        parse("a: [", "mine.yaml")
    with pytest.raises(ScenarioError, match="the file: was \\[1\\], expected a mapping"):
        parse("- 1", "mine.yaml")


def test_a_missing_description_is_named():
    with pytest.raises(ScenarioError, match="description: was None, expected a string"):
        parse("steps: [{do: wait}]", "mine.yaml")


def test_a_file_can_be_named_instead(tmp_path):
    file = tmp_path / "calm.yaml"
    file.write_text(SMALLEST)
    assert load(str(file)).name == "calm"


def test_an_unknown_name_lists_those_that_there_are():
    with pytest.raises(ScenarioError, match="was 'hurricane', expected a YAML file or one of one-interruption"):
        load("hurricane")


def test_launches_can_be_refused_for_whatever_the_market_knows():
    assert set(scenario.REFUSALS) == set(MESSAGES)


def test_every_action_can_be_done():
    assert set(actions.ACTIONS) == set(steps.ACTIONS)


def test_a_deploy_keeps_what_it_does_not_change_and_the_last_one_says_how_a_fleet_is_destroyed():
    given = """
        description: x
        fleet: {onDestroy: force}
        steps:
          - {do: deploy, config: {nodes: 5, timings: {hysteresis_seconds: 2}}}
          - {do: deploy}
        """
    first, second = parse(given, "mine.yaml").steps
    assert first.config == {"nodes": 5, "timings": {"hysteresis_seconds": 2.0}}
    assert second.config == {}
    assert parse(given, "mine.yaml").on_destroy == "force"
    assert parse(given + "  - {do: deploy, config: {onDestroy: checkpoint}}", "mine.yaml").on_destroy == "checkpoint"
    assert parse("description: x\nsteps: [{do: destroy}]", "mine.yaml").on_destroy == "checkpoint"


def test_a_scenario_is_refused_where_it_cannot_be_played_and_says_why():
    rebalance = scenario.load("rebalance")
    assert rebalance.refusal("aws") == ""
    assert "recommends no rebalancing" in rebalance.refusal("gcp")
    assert set(names()) - set(names("aws")) == {"no-notice"}
    assert set(names()) - set(names("gcp")) == {"rebalance", "destroy-force"}
    one_cloud = parse(SMALLEST + "only: {cloud: aws, because: no reason}", "x.yaml")
    assert (one_cloud.refusal("aws"), one_cloud.refusal("gcp")) == ("", "no reason")
