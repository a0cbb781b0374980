/**
 * One spelling for what is written in many: dollar signs, delimiters, spacing, \left and \right, units, degrees, percent
 * signs, thousands separators, `x =` in front, a full stop behind. The rules follow the normaliser of the MATH benchmark
 * (Hendrycks et al., arXiv 2103.03874), which also drops units and percent signs; nothing is evaluated.
 */
export const normalize = (answer: string): string => {
  let text = answer.normalize("NFC").trim()
  for (const [pattern, replacement] of rules) text = text.replaceAll(pattern, replacement)
  return text.trim()
}

const rules: ReadonlyArray<readonly [pattern: RegExp, replacement: string]> = [
  [/−/g, "-"],
  [/\\[()[\]]/g, ""],
  [/\\?\$/g, ""],
  [/\\(?:left|right|big|Big|bigg|Bigg|displaystyle|limits)(?![a-zA-Z])/g, ""],
  [/\\[!,;: ]|~|\\quad|\\qquad/g, " "],
  [/\\[dt]frac/g, "\\frac"],
  [/\\(?:mathrm|mathbf|operatorname|textbf|mbox)\s*\{/g, "\\text{"],
  [/\^\s*(?:\\circ|\{\s*\\circ\s*\})|°|\\degree/g, ""],
  [/\\?%/g, ""],
  // A unit behind a number, as text or as a plain word; then text that is the answer itself.
  [/(?<=[\d})])\s*\\text\s*\{[^{}]*\}(?:\^\{?\d\}?)?\s*$/g, ""],
  [/(?<=^[-+]?[\d.,]+)\s+[a-zA-Z][a-zA-Z ]*\.?$/g, ""],
  [/\\text\s*\{([^{}]*)\}/g, "$1"],
  [/,(?=(?:\d{3},)*\d{3}(?:\.\d+)?$)(?<=^[-+]?\d{1,3}(?:,\d{3})*,)/g, ""],
  [/^\s*[a-zA-Z]\s*=\s*/g, ""],
  [/\.\s*$/g, ""],
  [/\s+/g, " "],
  [/\s*([-+*/=^_(){}[\],<>|\\])\s*/g, "$1"],
  // \frac12 and \sqrt2 take one character each.
  [/\\frac\s*([0-9a-zA-Z])\s*([0-9a-zA-Z])/g, "\\frac{$1}{$2}"],
  [/\\frac\s*([0-9a-zA-Z])\s*\{/g, "\\frac{$1}{"],
  [/(\\frac\{[^{}]*\})\s*([0-9a-zA-Z])/g, "$1{$2}"],
  [/\\sqrt\s*([0-9a-zA-Z])/g, "\\sqrt{$1}"]
]
