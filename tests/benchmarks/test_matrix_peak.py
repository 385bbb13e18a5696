"""The count of multiply-adds, what a step's passes are, the peak's unit, and medians of calls that take turns."""

import time

import pytest
import torch
from matrix_peak import (
    matrix_peak,
    multiply_adds,
    output_gradients,
    recorded_passes,
    run_alone,
    step_multiply_adds,
)
from timing import WARM_UP, alternating_medians, best_seconds
from torch import nn

from sanerf.fields.radiance import RadianceConfig, RadianceField
from sanerf.kernels.backend import kernels_for

CPU = torch.device("cpu")


def test_the_multiply_adds_of_the_default_heads_are_those_of_their_layers():
    field = RadianceField(RadianceConfig(entries_log2=4), kernels_for("torch", CPU), torch.Generator())
    assert multiply_adds(field.density_head) == 40 * 32 + 32 * 16
    assert multiply_adds(field.colour_head) == 31 * 32 + 32 * 32 + 32 * 3


def test_a_pass_with_gradients_counts_three_times_and_points_are_those_that_came():
    networks = {"a": nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3)), "b": nn.Linear(3, 1)}
    with recorded_passes(networks) as passes:
        with torch.no_grad():
            networks["a"](torch.zeros(7, 2))
        networks["b"](networks["a"](torch.zeros(4, 2)))
    networks["b"](torch.zeros(9, 3))
    assert [(of.module, of.points, of.backward) for of in passes] == [("a", 7, False), ("a", 4, True), ("b", 4, True)]
    assert step_multiply_adds(passes, networks) == 7 * 25 + 3 * 4 * 25 + 3 * 4 * 3


def test_alone_every_recorded_pass_runs_and_only_those_with_gradients_backward():
    network = nn.Linear(2, 3)
    backward = []
    with recorded_passes({"a": network}) as passes:
        with torch.no_grad():
            network(torch.ones(5, 2))
        network(torch.ones(4, 2))
    pulls = output_gradients(passes, {"a": network})
    assert [tuple(pull.shape) for pull in pulls] == [(5, 3), (4, 3)]
    network.weight.register_hook(lambda gradient: backward.append(gradient))
    run_alone(passes, {"a": network}, pulls)
    # Of ones alone: every weight's gradient is the number of points.
    assert len(backward) == 1 and torch.equal(backward[0], torch.full((3, 2), 4.0))
    assert network.weight.grad is None


def test_the_peak_is_two_operations_a_multiply_add_over_the_best_time(monkeypatch):
    times = {64: 2.0, 128: 4.0}
    sizes = iter(times)
    monkeypatch.setattr("matrix_peak.best_seconds", lambda *_: times[next(sizes)])
    peak = matrix_peak(CPU, (64, 128), repeats=1)
    assert (peak.size, peak.flops) == (128, 2 * 128**3 / 4.0)


def test_medians_leave_out_the_warm_up_and_calls_take_turns(monkeypatch):
    order, clock = [], iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    calls = {"a": lambda: order.append("a"), "b": lambda: (order.append("b"), next(clock))}
    medians = alternating_medians(calls, CPU, 3)
    assert medians == {"a": 1.0, "b": 2.0}
    assert order == ["a", "b"] * (WARM_UP + 3)
    durations = iter([9.0, 9.0, 5.0, 3.0, 4.0])
    monkeypatch.setattr("timing._seconds", lambda *_: next(durations))
    assert best_seconds(lambda: None, CPU, 3) == pytest.approx(3.0)
