/** The picture of docs/scaling.md: how long a token takes, and how many nodes a load needs. */
import type { TopLevelSpec } from 'vega-lite';
import { COLORS } from '#lab/plots/theme.ts';
import { SGLANG, VLLM } from './assumptions.ts';
import { nodesFor, workOfRequest } from './formulae.ts';
import type { MeasuredParts } from './measured-parts.ts';
import type { Point } from './simulated.ts';

const SIZE = { width: 360, height: 280 } as const;

export function scalingPlot(parts: MeasuredParts, points: readonly Point[]): TopLevelSpec {
  const latency = points.flatMap(({ shape, load, p50, p99 }) => [
    { shape, load: 100 * load, ms: p50, which: 'p50' },
    { shape, load: 100 * load, ms: p99, which: 'p99' },
  ]);
  const work = { vLLM: workOfRequest(parts, VLLM()), SGLang: workOfRequest(parts, SGLANG()) };
  const nodes = Array.from({ length: 41 }, (_, i) => 10 ** (i / 10)).flatMap((requests) =>
    [
      { kind: 'edge, cores', count: nodesFor(work.vLLM, requests).edge },
      { kind: 'gate nodes', count: nodesFor(work.vLLM, requests).gateNode },
      { kind: 'H100 under vLLM', count: nodesFor(work.vLLM, requests).gpu },
      { kind: 'H100 under SGLang', count: nodesFor(work.SGLang, requests).gpu },
      { kind: 'processes that speak HTTP', count: nodesFor(work.vLLM, requests).http },
    ].map((point) => ({ ...point, requests })),
  );
  return {
    title: {
      text: 'Gate nodes beside engines: an 8B model on H100s',
      subtitle: 'Computed and simulated from measured parts and stated assumptions. No such engine was run.',
    },
    resolve: { scale: { color: 'independent' } },
    hconcat: [
      {
        ...SIZE,
        title: { text: 'a token, over the load of the engine', fontSize: 13 },
        data: { values: latency },
        mark: { type: 'line', point: { filled: true, size: 30 }, strokeWidth: 2 },
        encoding: {
          x: {
            field: 'load',
            type: 'quantitative',
            axis: { title: 'load, percent of what the engine can take', grid: false },
          },
          y: { field: 'ms', type: 'quantitative', scale: { type: 'log' }, axis: { title: 'milliseconds a token' } },
          color: colors('shape', ['gate nodes + vLLM', 'gate nodes + SGLang', 'the gate inside the engine']),
          strokeDash: {
            field: 'which',
            type: 'nominal',
            legend: { orient: 'bottom', title: null, symbolType: 'stroke' },
          },
        },
      },
      {
        ...SIZE,
        title: { text: 'nodes of each kind, over requests a second', fontSize: 13 },
        data: { values: nodes },
        mark: { type: 'line', strokeWidth: 2 },
        encoding: {
          x: { field: 'requests', type: 'quantitative', scale: { type: 'log' }, axis: { title: 'requests a second' } },
          y: { field: 'count', type: 'quantitative', scale: { type: 'log' }, axis: { title: 'nodes' } },
          color: colors('kind', [...new Set(nodes.map(({ kind }) => kind))]),
        },
      },
    ],
    // A panel's encodings are of several shapes, which the schema's types cannot express.
  } as TopLevelSpec;
}

const colors = (field: string, domain: readonly string[]) => ({
  field,
  type: 'nominal',
  scale: { domain, range: COLORS.slice(0, domain.length) },
  legend: { orient: 'bottom', title: null, columns: 2 },
});
