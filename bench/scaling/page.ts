/** The parts of docs/scaling.md that are computed, as Markdown. */
import {
  BUSY,
  type EngineModel,
  HTTP_MS,
  INSIDE,
  PROMPT_TOKEN_MS,
  REQUEST,
  ROUND_TRIP_MS,
  SGLANG,
  STEP_MS,
  VLLM,
} from './assumptions.ts';
import {
  bottleneck,
  capacities,
  gateMs,
  idleTokenMs,
  nodesFor,
  trafficOf,
  type Work,
  workOfRequest,
} from './formulae.ts';
import type { MeasuredParts } from './measured-parts.ts';
import type { Point } from './simulated.ts';

const LOADS = [1, 100, 10_000];

/** What one machine of the engine's bench takes: docs/performance/results.json. */
export type Machine = { model: string; tokensPerSecond: number; promptTokensPerSecond: number };

export function pageParts(parts: MeasuredParts, points: readonly Point[], machine: Machine): Record<string, string> {
  return {
    measured: measuredTable(parts),
    assumed: assumedTable(),
    capacity: capacityTable(parts),
    nodes: nodesTable(parts, machine),
    latency: latencyTable(points),
    positions: positionsTable(parts),
  };
}

const NAMES: Readonly<Record<keyof Work, string>> = {
  edge: 'the edge, one core',
  gateNode: 'a gate node',
  http: 'a process that speaks HTTP before an engine',
  gpu: 'an engine, one H100',
};

const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** Two or three digits, as nothing here is more exact. */
export function rounded(value: number): string {
  if (value >= 100) return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 0 });
  return String(Number(value.toPrecision(2)));
}

function measuredTable(parts: MeasuredParts): string {
  const { gateStepMs, gateNodeMs, edgeMs, questionBytes, answerBytes, topK, machine, at } = parts;
  const rows = [
    ['the gate alone, from two rows to a token', `${rounded(gateStepMs)} ms`],
    [
      'a gate node, all of it, a token',
      `${rounded(gateNodeMs.fixed)} ms + ${rounded(1000 * gateNodeMs.perToken)} ms for each 1,000 tokens before it`,
    ],
    ['the edge, a streamed answer', `${rounded(edgeMs.fixed)} ms + ${rounded(edgeMs.perToken)} ms a token`],
    [
      'a question to an engine',
      `${rounded(questionBytes.fixed)} bytes + ${rounded(questionBytes.perToken)} for each token before it`,
    ],
    [`its answer, k = ${topK}`, `${rounded(answerBytes)} bytes`],
  ];
  const day = at.slice(0, 10);
  const where = `Milliseconds of CPU, measured on ${day}: ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}.`;
  return `${table(['measured', ''], rows)}\n\n${where}`;
}

function assumedTable(): string {
  const [vllm, sglang] = [VLLM(), SGLANG()];
  return table(
    ['assumed', '', 'from'],
    [
      [
        'a request',
        `${REQUEST.promptTokens} tokens of prompt, ${REQUEST.answerTokens} of answer`,
        'chosen; yours may differ',
      ],
      ['every node gets at most', `${BUSY * 100} % of what it can take`, 'chosen'],
      ['gate node to engine, there and back', `${ROUND_TRIP_MS} ms`, 'one data center'],
      [
        'a step of an 8B model on an H100, without rows',
        `${rounded(vllm.readMs)} ms`,
        'its 15 GB in f16, over 3.35 TB/s, of which [77 %](https://johnmusgrave.com/p/vllm-throughput-latency-sweep-on)',
      ],
      [
        'each row more',
        `${rounded(sglang.questionMs)} ms`,
        'so that 256 rows give the published [12,500 tokens/s](https://www.morphllm.com/vllm-benchmarks)',
      ],
      ['each token of a prompt', `${rounded(PROMPT_TOKEN_MS)} ms`, '15 GFLOP at half of 989 TFLOP/s'],
      [
        'a question to vLLM, beginning cached',
        `${rounded(vllm.questionMs)} ms of a step`,
        'one row, and 7.5 tokens of the last block of 16, which are read again',
      ],
      ['a question to SGLang', `${rounded(sglang.questionMs)} ms of a step`, 'one row: it caches single tokens'],
      [
        'a question in the process that speaks HTTP',
        `${HTTP_MS} ms of one core`,
        '**nothing published was found**; see below for half and twice of it',
      ],
      ['a step is at most', `${STEP_MS} ms`, 'chosen: an answer comes at 20 tokens a second'],
    ],
  );
}

/** What one node of each kind can take, for each engine. */
function capacityTable(parts: MeasuredParts): string {
  const engines: [EngineModel, boolean][] = [
    [VLLM(), true],
    [SGLANG(), true],
    [INSIDE(), false],
  ];
  const tokens = (perSecond: number) => `${rounded(perSecond * REQUEST.answerTokens)}`;
  const rows = (Object.keys(NAMES) as (keyof Work)[]).map((kind) => [
    NAMES[kind],
    ...engines.map(([engine, hasGateNodes]) => {
      if (kind === 'gateNode' && !hasGateNodes) return '';
      const work = workOfRequest(parts, engine);
      const { gateNode: _, ...without } = work;
      const first = bottleneck(hasGateNodes ? work : { ...without, gateNode: 0 });
      const cell = tokens(capacities(work)[kind]);
      return first === kind ? `**${cell}**` : cell;
    }),
  ]);
  return table(['tokens a second of one', ...engines.map(([{ name }]) => name)], rows);
}

function nodesTable(parts: MeasuredParts, machine: Machine): string {
  const [vllm, sglang, inside] = [VLLM(), SGLANG(), INSIDE()].map((one) => workOfRequest(parts, one)) as [
    Work,
    Work,
    Work,
  ];
  const count = (value: number) => value.toLocaleString('en-US');
  const elsewhere = (work: Work, requests: number) => {
    const { gateNode, http, gpu } = nodesFor(work, requests);
    return `${count(gateNode)} + ${count(http)} + ${count(gpu)}`;
  };
  const rows = LOADS.map((requests) => {
    const own = REQUEST.answerTokens / machine.tokensPerSecond;
    const prompt = (2 * REQUEST.promptTokens) / machine.promptTokensPerSecond;
    const machines = Math.ceil((requests * (own + prompt)) / BUSY);
    const within = nodesFor(inside, requests);
    return [
      `**${count(requests)}**`,
      count(nodesFor(vllm, requests).edge),
      count(machines),
      elsewhere(vllm, requests),
      elsewhere(sglang, requests),
      `${count(within.http)} + ${count(within.gpu)}`,
      `${rounded(trafficOf(parts, requests))} MB/s`,
    ];
  });
  const sensitivity = [HTTP_MS / 2, HTTP_MS * 2].map((ms) => {
    const nodes = (work: Work) => count(nodesFor(work, 100).http);
    return `${ms} ms: ${nodes(workOfRequest(parts, VLLM(ms)))} and ${nodes(workOfRequest(parts, SGLANG(ms)))}`;
  });
  const head = [
    'requests a second',
    'edge, cores',
    `backends of ${machine.model}, 2 cores each`,
    'vLLM, 8B: gate nodes + HTTP + H100',
    'SGLang, 8B: the same',
    'gate inside: HTTP + H100',
    'to engines and back',
  ];
  const note = `Processes that speak HTTP at 100 requests a second, for vLLM and for SGLang, if a question takes ${sensitivity.join(', or ')}.`;
  return `${table(head, rows)}\n\n${note}`;
}

function latencyTable(points: readonly Point[]): string {
  const shapes = [...new Set(points.map(({ shape }) => shape))];
  const loads = [Math.min(...points.map(({ load }) => load)), 0.4, BUSY];
  const rows = shapes.map((shape) => [
    shape,
    ...loads.map((wanted) => {
      const point = points.find(({ shape: name, load }) => name === shape && load === wanted)!;
      return `${rounded(point.p50)}, ${rounded(point.p99)} ms`;
    }),
  ]);
  const head = ['a token, p50 and p99', ...loads.map((load) => `engine at ${Math.round(load * 100)} %`)];
  return table(head, rows);
}

/** What several positions a round trip make of a token, where the round trip is short or long. */
function positionsTable(parts: MeasuredParts): string {
  const cases = [
    { asked: 1, accepted: 1 },
    { asked: 4, accepted: 2 },
    { asked: 4, accepted: 3 },
    { asked: 8, accepted: 6 },
  ];
  const trips = [ROUND_TRIP_MS, 5, 20];
  const rows = cases.map((positions) => {
    const at = (roundTrip: number) => idleTokenMs(VLLM(), positions, { gate: gateMs(parts), roundTrip });
    const { stepsAToken, rowsAToken } = at(ROUND_TRIP_MS);
    return [
      `${positions.asked}, ${positions.accepted}`,
      rounded(rowsAToken),
      rounded(stepsAToken),
      ...trips.map((trip) => `${rounded(at(trip).ms)} ms`),
    ];
  });
  const head = ['asked, drawn', 'rows a token', 'steps a token', ...trips.map((ms) => `a token at ${ms} ms`)];
  return table(head, rows);
}
