"""From an event, its resolution and the configuration to the request to send. Pure: no I/O, clock or randomness.

In this order: `joining.join` once, and everything after it takes the joined event; `admission.admission`; the owner
(before anybody is resolved, so that no contact is created without the owner the event waits for); the resolution,
which consumers find out; `activities.plan_activity` or `tasks.plan_task`.
"""
