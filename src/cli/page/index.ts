// Turns records into a graph: an interactive page or a picture.

export { graphPage } from './page.ts'
export { graphSvg, type GraphOptions, type PlottedRun } from './svg.ts'
export { RunSeries, seriesOf } from './series.ts'
