"""Compares the calculation of error budgets with "The Site Reliability Workbook", chapter 5."""

import pytest

from components.monitoring.objectives import BURN_RATES, PERIOD_DAYS, BurnRate

FAST, STEADY, SLOW = BURN_RATES


@pytest.mark.parametrize(("rate", "factor"), [(FAST, 14.4), (STEADY, 6.0), (SLOW, 3.0)])
def test_factors_are_the_books(rate: BurnRate, factor: float) -> None:
    assert rate.factor == pytest.approx(factor)


@pytest.mark.parametrize("rate", BURN_RATES)
def test_budget_that_burns_for_the_long_window_is_gone_by_the_share(rate: BurnRate) -> None:
    target, requests_an_hour = 0.999, 10_000
    budget = (1 - target) * requests_an_hour * 24 * PERIOD_DAYS
    failed = rate.bad_share(target) * requests_an_hour * rate.long_seconds / 3600
    assert failed / budget == pytest.approx(rate.budget_share)


@pytest.mark.parametrize("rate", BURN_RATES)
def test_short_window_is_a_twelfth_of_the_long(rate: BurnRate) -> None:
    assert rate.long_seconds == 12 * rate.short_seconds


def test_99_9_per_cent_wakes_somebody_at_1_44_per_cent_of_failures() -> None:
    assert FAST.bad_share(0.999) == pytest.approx(0.0144)


@pytest.mark.parametrize("rate", BURN_RATES)
@pytest.mark.parametrize("target", [0.951, 0.99, 0.999, 0.9999])
def test_one_bad_request_never_rings(rate: BurnRate, target: float) -> None:
    least = rate.least_requests(target)
    assert 1 / least < rate.bad_share(target) <= 1 / (least - 1) if least > 1 else True


@pytest.mark.parametrize("rate", BURN_RATES)
def test_lowest_target_that_settings_accept_can_still_ring(rate: BurnRate) -> None:
    assert rate.bad_share(0.95) < 1


def test_what_wakes_somebody_spends_more_in_less_time() -> None:
    assert [rate.severity for rate in BURN_RATES] == ["critical", "critical", "warning"]
    assert FAST.factor > STEADY.factor > SLOW.factor
