// Records in, a graph out: as a page to look into, or as a picture.

export { graphPage } from './page.ts'
export { graphSvg, type GraphOptions, type PlottedRun } from './svg.ts'
