/** Token id -> raw bytes. */
export type TokenTable = ReadonlyArray<Uint8Array>

/** Ids 0 .. 255 of every generated table are the single bytes, so any bytes can be spelled: token id = byte. */
export const byteTokens: TokenTable = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))
