/**
 * Reads a page in Prometheus' text format 0.0.4, and refuses what its grammar does not allow:
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
 */
const COMMENT = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

export type MetricFamily = { type: string; help: string; samples: { labels: Record<string, string>; value: number }[] };

/** Families by name. Each has both comments, once and before its samples, and no sample twice. */
export function readMetrics(text: string): Record<string, MetricFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families: Record<string, MetricFamily> = {};
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = COMMENT.exec(line);
    if (comment !== null) {
      const [, kind, name = '', rest = ''] = comment;
      if (kind === 'HELP' && name in families) throw new Error(`${name} comes twice`);
      if (kind === 'HELP') families[name] = { type: '', help: rest, samples: [] };
      else if (name !== current || families[name]?.type !== '') throw new Error(`a TYPE in the wrong place: ${line}`);
      else families[name].type = rest;
      current = name;
      continue;
    }
    const [, name = '', labels = '', value] = SAMPLE.exec(line) ?? [];
    const family = families[name];
    if (family === undefined || name !== current || family.type === '') throw new Error(`out of place: ${line}`);
    const sample = { labels: readLabels(labels), value: Number(value) };
    const isSame = (other: MetricFamily['samples'][number]) =>
      JSON.stringify(other.labels) === JSON.stringify(sample.labels);
    if (family.samples.some(isSame)) throw new Error(`this sample comes twice: ${line}`);
    family.samples.push(sample);
  }
  return families;
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  for (let at = 0; at < text.length; at = LABEL.lastIndex) {
    const [, name, value] = LABEL.exec(text) ?? [];
    if (name === undefined || value === undefined || name in labels) throw new Error(`wrong labels: {${text}}`);
    labels[name] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
  }
  return labels;
}
