"""The codec: encoder, residual quantizer, decoder, and what it is trained against."""
