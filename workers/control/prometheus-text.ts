/**
 * Prometheus' text format 0.0.4, which every scraper reads:
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details. The client
 * library for it needs Node, and the edge only writes numbers that it already has.
 */

export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export type MetricFamily = {
  name: string;
  /** One line. */
  help: string;
  type: 'counter' | 'gauge';
  samples: readonly { labels: Readonly<Record<string, string>>; value: number }[];
};

/** A family without samples is left out. */
export function prometheusText(families: readonly MetricFamily[]): string {
  const lines = families
    .filter(({ samples }) => samples.length > 0)
    .flatMap(({ name, help, type, samples }) => [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${type}`,
      ...samples.map(({ labels, value }) => `${name}${labelText(labels)} ${value}`),
    ]);
  return lines.map((line) => `${line}\n`).join('');
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const escaped = (value: string) => value.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n');
