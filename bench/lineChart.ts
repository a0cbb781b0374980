/** A line chart on two logarithmic axes, as SVG. */
export interface LineChart {
  readonly title: string
  readonly x: { readonly label: string; readonly values: ReadonlyArray<number> }
  readonly lines: ReadonlyArray<{ readonly label: string; readonly values: ReadonlyArray<number> }>
}

const width = 640
const height = 360
const edge = { left: 56, right: 96, top: 40, bottom: 48 }
const colours = ["#7f7f7f", "#1f77b4", "#2ca02c", "#d62728", "#9467bd"]

export const lineChart = ({ title, x, lines }: LineChart): string => {
  const all = lines.flatMap(({ values }) => values)
  const [xLow, xHigh] = [Math.log10(Math.min(...x.values)), Math.log10(Math.max(...x.values))]
  const [yLow, yHigh] = [Math.floor(Math.log10(Math.min(...all))), Math.ceil(Math.log10(Math.max(...all)))]
  const across = (value: number) =>
    edge.left + ((Math.log10(value) - xLow) / (xHigh - xLow)) * (width - edge.left - edge.right)
  const up = (value: number) =>
    height - edge.bottom - ((Math.log10(value) - yLow) / (yHigh - yLow)) * (height - edge.top - edge.bottom)
  const text = (at: readonly [number, number], content: string, more = "") =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" ${more}>${content}</text>`
  const grid = Array.from({ length: yHigh - yLow + 1 }, (_, i) => 10 ** (yLow + i)).flatMap((value) => [
    `<path d="M${edge.left} ${up(value).toFixed(1)}H${width - edge.right}" stroke="#ddd"/>`,
    text([edge.left - 8, up(value) + 4], String(value), 'text-anchor="end"')
  ])
  const ticks = x.values.map((value) =>
    text([across(value), height - edge.bottom + 20], String(value), 'text-anchor="middle"')
  )
  // Labels at the right ends keep clear of each other, the highest line first.
  let free = -Infinity
  const order = lines
    .map((line, i) => ({ ...line, colour: colours[i % colours.length], end: line.values[line.values.length - 1] }))
    .toSorted((a, b) => b.end - a.end)
  const drawn = order.flatMap(({ label, values, colour, end }) => {
    const points = values.map((value, i) => `${across(x.values[i]).toFixed(1)} ${up(value).toFixed(1)}`)
    free = Math.max(free + 16, up(end))
    return [
      `<path d="M${points.join("L")}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      text([width - edge.right + 8, free + 4], label, `fill="${colour}"`)
    ]
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text([edge.left, 22], title, 'font-size="14" font-weight="bold"'),
    ...grid,
    ...ticks,
    text([(edge.left + width - edge.right) / 2, height - 8], x.label, 'text-anchor="middle"'),
    ...drawn,
    "</svg>\n"
  ].join("\n")
}
