/**
 * `GET /admin/v1/metrics`: the whole edge for Prometheus, from whichever isolate answers. An
 * isolate knows only its own requests, so the counters are those of the object that hears of all.
 * Names are like the backends' own, with `edge_` before them, so that no sum has both.
 */
import { liveTraffic, type TrafficCounts } from '../objects/live-traffic-contract.ts';
import type { AppContext, OperatorEnv } from '../request/context.ts';
import { type AskedBackend, listPool, States } from './pool.ts';
import { type MetricFamily, PROMETHEUS_TYPE, prometheusText } from './prometheus-text.ts';
import { asking } from './tenants.ts';

type Pool = Awaited<ReturnType<typeof listPool>>;

/** Fails as a whole if a part cannot be read: a scrape that fails is seen, and a gap is not. */
export async function edgeMetrics(
  c: Pick<AppContext<OperatorEnv>, 'env' | 'var'>,
  asked: readonly AskedBackend[],
): Promise<Response> {
  const traffic = liveTraffic(c.env);
  const [pool, counts] = await Promise.all([
    listPool(c, asked),
    traffic === null ? null : asking(() => traffic.counts()),
  ]);
  const families = [...(counts === null ? [] : countersOf(counts)), ...gaugesOf(pool)];
  return new Response(prometheusText(families), { headers: { 'content-type': PROMETHEUS_TYPE } });
}

function countersOf(counts: TrafficCounts): MetricFamily[] {
  return [
    counter('requests_total', 'Requests that are over, by how they ended.', by('outcome', counts.outcomes)),
    counter('request_errors_total', 'Those that ended with an error, by its code.', by('code', counts.codes)),
    counter('answers_total', 'Answers that began, by what the answer cache had.', by('cache', counts.caches)),
    counter('prompt_tokens_total', 'Prompt tokens of whole answers, kept ones too.', only(counts.promptTokens)),
    counter('completion_tokens_total', 'Tokens of whole answers, kept ones too.', only(counts.completionTokens)),
    counter('requests_untold_total', 'Requests that are in no other counter: too many at once.', only(counts.lost)),
    gauge(
      'counting_since_timestamp_seconds',
      'When the counters began at 0, as Unix time.',
      only(counts.sinceMs / 1000),
    ),
  ];
}

function gaugesOf({ data }: Pool): MetricFamily[] {
  const backends = data.map((backend) => ({
    ...{ backend, state: backend.state === 'up' && backend.drained !== null ? 'draining' : backend.state },
    labels: { backend: backend.url, model_name: backend.model ?? '' },
  }));
  const states = new Map(States.options.map((state) => [state, backends.filter((one) => one.state === state).length]));
  const told = backends.flatMap(({ backend, labels }) => ('max_rows' in backend ? { backend, labels } : []));
  const each = (read: (backend: (typeof told)[number]['backend']) => number) =>
    told.map(({ backend, labels }) => ({ labels, value: read(backend) }));
  return [
    gauge('backends', 'Backends by state. One that the operator has drained is draining.', by('state', states)),
    gauge(
      'backend_up',
      '1 if the backend gets requests.',
      backends.map(({ labels, state }) => ({ labels, value: state === 'up' ? 1 : 0 })),
    ),
    gauge(
      'backend_requests_running',
      'Requests in its batch, as it last said.',
      each(({ running }) => running),
    ),
    gauge(
      'backend_requests_waiting',
      'Requests in its queue, as it last said.',
      each(({ waiting }) => waiting),
    ),
    gauge(
      'backend_rows',
      'Rows that are taken, as it last said.',
      each(({ rows }) => rows),
    ),
    gauge(
      'backend_max_rows',
      'Rows that it has.',
      each(({ max_rows }) => max_rows),
    ),
  ];
}

type Samples = MetricFamily['samples'];
const family = (type: MetricFamily['type']) => (name: string, help: string, samples: Samples) => {
  return { name: `plimsoll:edge_${name}`, help, type, samples };
};
const counter = family('counter');
const gauge = family('gauge');

const only = (value: number): Samples => [{ labels: {}, value }];
const by = (label: string, counts: ReadonlyMap<string, number>): Samples =>
  [...counts].map(([name, value]) => ({ labels: { [label]: name }, value }));
