"""The gradual return of services: each enabled, validated, and stable before the next."""

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.recovery import RecoveryActivities
    from failback.models.common import Outcome
    from failback.models.recovery import RecoveryService, ReturnedService
    from failback.models.system_requests import ServiceShareRequest, WatchServiceRequest
from workflows import options
from workflows.system_steps import SystemWorkflow


class ReturningWorkflow(SystemWorkflow):
    """A level that lets customers in service by service."""

    def prepare_return(self) -> None:
        """Make its state, before any message can arrive."""
        self.returned: dict[RecoveryService, ReturnedService] = {}

    async def return_each_service(self) -> None:
        """Each service in order: enabled, validated, stable for long enough, then the next."""
        for service in RecoveryService:
            done = self.returned.get(service)
            if done is None or done.outcome is not Outcome.SUCCEEDED:
                await self._return(service)
        self.service_restored()

    async def _return(self, service: RecoveryService) -> None:
        policy = self.request.plan.recovery
        default = 30.0 + (policy.stability_seconds + policy.patience_seconds) * len(
            policy.traffic_shares
        )
        budget = self.timeline.budget("return_service", default)
        enabled_at, holds = workflow.now(), 0
        async with self.timeline.step(f"return:{service.value}", budget) as step:
            for share in policy.traffic_shares:
                enabled = await workflow.execute_activity_method(
                    RecoveryActivities.enable_service,
                    ServiceShareRequest(
                        rollback_id=self.request.rollback_id,
                        step=f"return:{service.value}",
                        service=service,
                        share=share,
                    ),
                    **options.long(30.0),
                )
                if enabled.outcome is Outcome.FAILED:
                    self._note(service, enabled_at, holds, share, enabled.detail)
                    step.observed(Outcome.FAILED, enabled.detail, enabled.attempts)
                    return
                seen = await workflow.execute_activity_method(
                    RecoveryActivities.watch_service,
                    WatchServiceRequest(
                        rollback_id=self.request.rollback_id,
                        step=f"return:{service.value}",
                        service=service,
                        share=share,
                        stability_seconds=policy.stability_seconds,
                        look_seconds=policy.look_seconds,
                        patience_seconds=policy.patience_seconds,
                    ),
                    **options.long(policy.stability_seconds + policy.patience_seconds + 30.0),
                )
                holds += seen.holds
                if not seen.stable:
                    detail = f"held at {share} %: {seen.detail}"
                    self._note(service, enabled_at, holds, share, detail)
                    step.observed(Outcome.FAILED, detail, seen.attempts)
                    return
            self._note(service, enabled_at, holds, policy.traffic_shares[-1], "", stable=True)
            step.observed(
                Outcome.SUCCEEDED,
                f"stable for {policy.stability_seconds:g} s, held {holds} times",
            )

    def _note(
        self,
        service: RecoveryService,
        enabled_at: datetime,
        holds: int,
        share: int,
        detail: str,
        *,
        stable: bool = False,
    ) -> None:
        self.returned[service] = ReturnedService(
            service=service,
            outcome=Outcome.SUCCEEDED if stable else Outcome.FAILED,
            enabled_at=enabled_at,
            stable_at=workflow.now() if stable else None,
            traffic_share=share,
            holds=holds,
            detail=detail,
        )

    def return_seconds(self) -> float:
        """How long the gradual return takes at least."""
        policy = self.request.plan.recovery
        return len(RecoveryService) * len(policy.traffic_shares) * policy.stability_seconds
