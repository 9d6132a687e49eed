"""The families of codecs: a new one is its own files and a line here."""

from soundstorm.data.variants import Variants
from soundstorm.models.codec.hifi_config import HifiConfig
from soundstorm.models.codec.istft_config import IstftConfig
from soundstorm.models.codec.soundstream_config import SoundStreamConfig

CODEC_FAMILIES = Variants(
    "family",
    {
        "istft": IstftConfig,
        "soundstream": SoundStreamConfig,
        "hifi": HifiConfig,
    },
)
