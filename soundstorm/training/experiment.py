from soundstorm.data.experiment import *  # noqa: F403
