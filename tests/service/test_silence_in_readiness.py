"""Readiness and silent producers: a warning for those who may see the log, never a reason."""

from __future__ import annotations

from counterfoil.composition import open_services
from counterfoil.health import INDEX_UNREADABLE, PRODUCER_SILENT, readiness
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.log.batch import Batch
from counterfoil.trails.prepare import prepare_index
from tests.service.running import Made, check_clean
from tests.trails.completeness.sending import numbered


class Later:
    """The service's clock, hours ahead."""

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us


def test_a_silent_producer_is_a_warning_that_names_nobody_to_a_stranger(made_directory: Made) -> None:
    services = open_services(made_directory.directory)
    try:
        assert [remark.code for remark in readiness(services, True).warnings if remark.code == INDEX_UNREADABLE]
        prepare_index(services.index)
        log = services.log_named("default", "main")
        services.logs.append(log.id, Batch("k-test", [numbered(0, "fallen")])).result(30)
        services.projector().run_once()
        state = readiness(services, True)
        assert not {PRODUCER_SILENT, INDEX_UNREADABLE} & {remark.code for remark in state.warnings}
        services.logs.clock = Later(services.logs.clock.now_us() + 3_600_000_000)
        state = readiness(services, True)
        assert state.ready
        (silent,) = [remark for remark in state.warnings if remark.code == PRODUCER_SILENT]
        assert silent.shown_to(None).keys() == {"code", "text"}
        other = Principal(log.tenant_id + 1, "other", "k", Role.ADMINISTRATOR, None, "")
        assert "fallen" not in str(silent.shown_to(other))
        mine = Principal(log.tenant_id, "default", "k", Role.ADMINISTRATOR, None, "")
        assert silent.shown_to(mine)["log"] == "main"
        assert "producer fallen of writer k-test" in silent.shown_to(mine)["detail"]
    finally:
        services.close()
    check_clean(made_directory)
