import os

import hypothesis

# Examples are the same in each run. Time is that of a shared machine.
hypothesis.settings.register_profile(
    "memkv",
    deadline=None,
    derandomize=True,
    max_examples=int(os.environ.get("MEMKV_EXAMPLES", "40")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.load_profile("memkv")
