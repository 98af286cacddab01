import { describe, expect, test } from 'vitest';
import type { Line } from '#shared/line/line.ts';
import { Answer } from './answer.ts';
import type { Output, Source } from './experts.ts';
import { Job } from './job.ts';
import { ScriptedExperts } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const BOUNDS = { floor: 0, ceiling: 1 };

function job(line: Partial<Line> = {}, { proposal = 0.5 as number | (() => number) } = {}) {
  const experts = new ScriptedExperts(babble, { vocabSize: SCRIPTED_VOCAB });
  const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => Uint8Array.of(id) };
  const answer = new Answer(request({ line }), { vocabulary, proposal, contextLength: 96 });
  const warnings: [string, unknown][] = [];
  const warn = (message: string, cause: unknown) => void warnings.push([message, cause]);
  return { experts, warnings, job: new Job(4, answer, { experts, warn }) };
}

const output: Output = { row: { logits: Float32Array.of(0) }, earlier: [], hidden: null, alpha: null };
const fine = { status: 'fulfilled', value: output } as const;
const failed = (reason: unknown) => ({ status: 'rejected', reason }) as const;

describe('the steps of a job', () => {
  const steps = (line: Partial<Line>, options = {}) => {
    const { job: one } = job(line, options);
    one.open();
    return one.steps({
      rows: [
        [1, 2],
        [1, 2, 3],
      ],
      bounds: BOUNDS,
    });
  };

  test('feed each expert its own row, and each names the other to compare with', () => {
    const [safety, helpfulness] = steps({});
    expect(safety).toEqual({ sequence: 1, ids: [1, 2], beside: 2, want: { hidden: false } });
    expect(helpfulness).toEqual({ sequence: 2, ids: [1, 2, 3], beside: 1, want: { hidden: false } });
  });

  test('give bounds only to the layers sequence', () => {
    const [safety, layers] = steps({ mode: 'layers' });
    expect(safety).not.toHaveProperty('bounds');
    expect(layers).toMatchObject({ bounds: BOUNDS });
  });

  test('ask for hidden states if a router compares two of them', () => {
    const router = { proposal: () => 0.5 };
    expect(steps({}, router).map(({ want }) => want?.hidden)).toEqual([true, true]);
    expect(steps({ action: 'safety_only' }, router)).toEqual([{ sequence: 1, ids: [1, 2], want: { hidden: false } }]);
  });
});

describe('when an expert fails', () => {
  test('and it is not the safety expert, its sequence is given back, one warning is logged, and the answer goes on', () => {
    const { experts, job: one, warnings } = job({}, { proposal: () => 0.5 });
    one.open();
    expect(one.take([fine, fine])).toEqual({ safety: output, beside: output });
    const cause = new Error('connection lost');
    expect(one.take([fine, failed(cause)])).toEqual({ safety: output, beside: null });
    expect(experts.openCount).toBe(1);
    expect(one.steps({ rows: [[3], [3]], bounds: BOUNDS })).toEqual([
      { sequence: 1, ids: [3], want: { hidden: false } },
    ]);
    expect(one.take([fine])).toEqual({ safety: output, beside: null });
    expect(warnings).toEqual([['answer 4 goes on without its expert helpfulness', cause]]);
  });

  test('and it is the safety expert, the answer ends, with the cause for the log', () => {
    const { job: one, warnings } = job();
    one.open();
    const cause = new Error('out of memory');
    expect(() => one.take([failed(cause), fine])).toThrow(expect.objectContaining({ code: 'expert_failed', cause }));
    expect(() => one.take([])).toThrow(expect.objectContaining({ code: 'expert_failed' }));
    expect(warnings).toEqual([]);
  });
});

test('gives its sequences back once, however often it is closed', () => {
  const { experts, job: one } = job();
  one.open();
  expect(experts.openCount).toBe(2);
  one.close();
  one.close();
  expect(experts.openCount).toBe(0);
  expect(one.steps({ rows: [[1], [1]], bounds: BOUNDS })).toEqual([]);
});

test('opens all its sequences or none', () => {
  const { experts, job: one } = job();
  const open = experts.open.bind(experts);
  experts.open = (source: Source) => {
    if (source === 'helpfulness') throw new Error('no room');
    return open(source);
  };
  expect(() => one.open()).toThrow('no room');
  expect(experts.openCount).toBe(0);
});
