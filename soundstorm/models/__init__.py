"""Networks. They read no files, no configuration and no command line.

Letters for shapes, the same everywhere in the project:
``B`` batch, ``S`` samples, ``T`` frames, ``Q`` RVQ levels (0 = coarsest), ``N`` codebook size,
``D`` model width, ``L`` text length. Codes are ``(B, T, Q)`` int64 in memory, ``(T, Q)`` uint16 on disk.
"""
