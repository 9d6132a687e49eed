"""eSpeak NG as a library: speech of one voice with the time of every phone.

eSpeak NG (GPL-3) is loaded from the `espeakng-loader` package and called; nothing of it is part of this project.
"""

import _ctypes
import ctypes
from typing import NamedTuple

import numpy as np

_RETRIEVAL = 1  # espeak_AUDIO_OUTPUT: hand the samples to a callback and play nothing
_PHONEME_EVENTS = 1  # espeak_Initialize option
_DONT_EXIT = 0x8000  # espeak_Initialize option: return an error instead of ending the process
_UTF8 = 1  # espeak_Synth flag
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_EVENT_END_OF_LIST, _EVENT_PHONEME = 0, 7  # espeak_EVENT_TYPE


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Spoken(NamedTuple):
    """What eSpeak NG said: int16 samples ``(S,)``, their rate, and (first sample, phone) in order of time."""

    samples: np.ndarray
    sample_rate: int
    phones: list[tuple[int, str]]


class ESpeak:
    """One eSpeak NG engine. The library keeps its state in globals: have one per process."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library_path = str(espeakng_loader.get_library_path())
        self._data_path = str(espeakng_loader.get_data_path()).encode()
        self._callback = _Callback(self._collect)
        self._chunks: list[np.ndarray] = []
        self._phones: list[tuple[int, str]] = []

    def _start(self, library: ctypes.CDLL) -> int:
        rate = library.espeak_Initialize(_RETRIEVAL, 500, self._data_path, _PHONEME_EVENTS | _DONT_EXIT)
        if rate <= 0:
            raise RuntimeError(f"eSpeak NG does not start with the data in {self._data_path.decode()} (error {rate})")
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        library.espeak_SetSynthCallback(self._callback)
        return rate

    def _collect(self, samples, num_samples, events) -> int:
        if samples and num_samples > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, shape=(num_samples,)).copy())
        at = 0
        while events[at].type != _EVENT_END_OF_LIST:
            if events[at].type == _EVENT_PHONEME:
                self._phones.append((events[at].sample, events[at].id.string.decode("utf-8", "replace")))
            at += 1
        return 0

    def say(self, text: str, voice: str, *, rate: int, pitch: int) -> Spoken:
        """Speak one text.

        Args:
            text: words of any language that the voice reads.
            voice: name of a voice and a variant, e.g. ``gmw/en-US+f2``.
            rate: words per minute, 80 to 450.
            pitch: 0 to 99, 50 is the voice's own.
        """
        # Flutter, breath noise and filters run on from one text to the next, in static variables of the library:
        # only a library loaded afresh (5 ms) says the same thing twice.
        library = ctypes.CDLL(self._library_path)
        try:
            return self._say(library, text, voice, ((_RATE, rate), (_PITCH, pitch)))
        finally:
            library.espeak_Terminate()
            _ctypes.dlclose(library._handle)

    def _say(self, library: ctypes.CDLL, text: str, voice: str, parameters: tuple) -> Spoken:
        sample_rate = self._start(library)
        self._chunks, self._phones = [], []
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        for parameter, value in parameters:
            library.espeak_SetParameter(parameter, value, 0)
        words = text.encode()
        error = library.espeak_Synth(words, len(words) + 1, 0, 1, 0, _UTF8, None, None)
        error = error or library.espeak_Synchronize()
        if error or not self._chunks:
            raise RuntimeError(f"eSpeak NG cannot say {text!r} as {voice!r} (error {error})")
        return Spoken(np.concatenate(self._chunks), sample_rate, list(self._phones))
