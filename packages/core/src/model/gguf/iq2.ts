/** ggml's IQ2_XXS: 256 elements in 66 bytes. Eight at a time are one of 256 patterns of magnitudes, with signs of their own. */
import type { Dequantize } from "./blocks.ts"
import { scaleAt } from "./blocks.ts"

/** d, then for every 32 elements: 4 bytes that choose patterns, and 32 bits: 4 x 7 of signs and 4 of scale. */
export const dequantizeIQ2_XXS: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 66, out += 256) {
    const d = scaleAt(packed, at)
    for (let group = 0; group < 32; group++) {
      const entry = at + 2 + 8 * (group >> 2)
      const word = packed[entry + 4] | (packed[entry + 5] << 8) | (packed[entry + 6] << 16) | (packed[entry + 7] << 24)
      const scale = d * (0.5 + (word >>> 28)) * 0.25
      const signs = withParity((word >>> (7 * (group & 3))) & 127)
      const pattern = 8 * packed[entry + (group & 3)]
      for (let i = 0; i < 8; i++) {
        const value = scale * magnitudes[pattern + i]
        into[out + 8 * group + i] = ((signs >> i) & 1) === 1 ? -value : value
      }
    }
  }
}

/** The eighth sign is not stored: the number of minus signs is even. */
const withParity = (signs: number): number => {
  let ones = signs
  ones ^= ones >> 4
  ones ^= ones >> 2
  ones ^= ones >> 1
  return signs | ((ones & 1) << 7)
}

/** iq2xxs_grid of ggml-common.h: 256 patterns, two bytes each, two bits for each of 8 magnitudes. */
const patterns =
  "00000200050008000a00110014002000220028002a00410044005000580061006400800082008a00a200010104011001" +
  "15014001840198010002020222028202010404041004210424044004420448046004810484049004a404000502050805" +
  "200546056905800591050906100640068406a406000805080808140828084108440850085208880804094009020a140a" +
  "01100410101021104010601084109010951000110811201150115a118011241245120014081420142514491480141815" +
  "6215001616160118041810184018811800190519a019511a002002200a20442061208020822029214821002202220124" +
  "04241024402456240025412564259026082820289428442a014004401040184021402440404048405640604081408440" +
  "904000412041614180418541014210424842564268420044084420448044994412452445004601480448104840484548" +
  "0049584961498249454a904a005008501150195020508050885004514251a4519152905492540a550156545600581158" +
  "195864584059085a04601060406068600061556118626062006405641065126584654268008002800a80418082800481" +
  "18814081118201840484108415844084608400854685948509864086608602880489118a0490109024904090a1901691" +
  "8091459200942294449451958198209902a050a085a009a100a218a450a804a9"

/** Shape [256, 8]. */
const magnitudes = Uint8Array.from({ length: 2048 }, (_, i) => {
  const byte = Number.parseInt(patterns.slice(2 * (i >> 2), 2 * (i >> 2) + 2), 16)
  return [0x08, 0x19, 0x2b][(byte >> (2 * (i & 3))) & 3]
})
