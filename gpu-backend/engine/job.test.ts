import { describe, expect, test } from 'vitest';
import type { Line } from '#shared/line/line.ts';
import { Answer, type AnswerOptions } from './answer.ts';
import type { EngineRequest } from './engine.ts';
import type { Output, Source } from './experts.ts';
import { Job } from './job.ts';
import { ScriptedExperts } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

type Changes = Partial<Pick<EngineRequest, 'promptIds' | 'rowPrompts'>> & Pick<Partial<AnswerOptions>, 'proposal'>;

function job(line: Partial<Line> = {}, { proposal = 0.5, ...changes }: Changes = {}) {
  const experts = new ScriptedExperts(babble, { vocabSize: SCRIPTED_VOCAB, prefixBytes: 0 });
  const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => Uint8Array.of(id) };
  const asked = request({ line, promptIds: [1, 2], rowPrompts: { helpfulness: [1, 2, 3] }, ...changes });
  const answer = new Answer(asked, { vocabulary, proposal, contextLength: 96 });
  const warnings: [string, unknown][] = [];
  const warn = (message: string, cause: unknown) => void warnings.push([message, cause]);
  return { experts, warnings, job: new Job(4, answer, { experts, warn }) };
}

const logits = Float32Array.from({ length: SCRIPTED_VOCAB }, (_, id) => (id === 97 ? 9 : 0));
const output: Output = { row: { logits }, earlier: [], hidden: null, alpha: null };
const fine = { status: 'fulfilled', value: output } as const;
const failed = (reason: unknown) => ({ status: 'rejected', reason }) as const;

describe('the steps of a job', () => {
  const steps = (line: Partial<Line>, options: Changes = {}) => {
    const { job: one } = job(line, options);
    one.open();
    return one.steps(one.next());
  };

  test('feed each expert its own row, and each names the other to compare with', () => {
    const [safety, helpfulness] = steps({});
    expect(safety).toEqual({
      sequence: 1,
      ids: [1, 2],
      reads: 'prompt',
      beside: 2,
      want: { hidden: false, positions: 1 },
    });
    expect(helpfulness).toEqual({
      sequence: 2,
      ids: [1, 2, 3],
      reads: 'prompt',
      beside: 1,
      want: { hidden: false, positions: 1 },
    });
  });

  test('give bounds only to the layers sequence', () => {
    const [safety, layers] = steps({ mode: 'layers' });
    expect(safety).not.toHaveProperty('bounds');
    expect(layers).toMatchObject({ bounds: { floor: 0, ceiling: 1 } });
  });

  test('ask for hidden states if a router compares two of them', () => {
    const router = { proposal: () => 0.5 };
    expect(steps({}, router).map(({ want }) => want?.hidden)).toEqual([true, true]);
    const alone = { sequence: 1, ids: [1, 2], reads: 'prompt', want: { hidden: false, positions: 1 } };
    expect(steps({ action: 'safety_only' }, router)).toEqual([alone]);
    expect(steps({ ceiling: 0 }, router)).toEqual([{ ...alone, ids: [1, 2, 3] }]);
  });

  test('want a prediction only after the last token of a prompt', () => {
    const { job: one } = job({}, { promptIds: [1, 2, 3, 4, 5], rowPrompts: {} });
    one.open();
    const wanted = () => one.steps(one.next(2)).map(({ want }) => want?.positions);
    expect([wanted(), wanted(), wanted()]).toEqual([
      [0, 0],
      [0, 0],
      [1, 1],
    ]);
  });

  test('read a prompt in pieces, then what was drawn; the rows end together, and a piece that does not end draws nothing', () => {
    const { job: one } = job({}, { rowPrompts: { helpfulness: [1, 2, 3, 4, 5, 6] }, promptIds: [1, 2, 3] });
    one.open();
    const pieces: (readonly number[])[][] = [];
    while (one.unread > 0) {
      const feed = one.next(2);
      const own = one.steps(feed);
      pieces.push(own.map(({ ids }) => ids));
      const results = own.map(() => fine);
      expect(one.goOn(feed, results).map(({ type }) => type)).toEqual(one.unread > 0 ? [] : ['token']);
    }
    expect(pieces).toEqual([
      [[1, 2]],
      [[1], [3, 4]],
      [
        [2, 3],
        [5, 6],
      ],
    ]);
    expect(one.steps(one.next())).toMatchObject([
      { ids: [97], reads: 'answer' },
      { ids: [97], reads: 'answer' },
    ]);
  });
});

describe('when an expert fails', () => {
  test('and it is not the safety expert, its sequence is given back, one warning is logged, and the answer goes on', () => {
    const { experts, job: one, warnings } = job({}, { proposal: 0.5 });
    one.open();
    expect(one.goOn(one.next(), [fine, fine])).toMatchObject([{ weight: 0.5 }]);
    const cause = new Error('connection lost');
    expect(one.goOn(one.next(), [fine, failed(cause)])).toMatchObject([{ weight: 1 }]);
    expect(experts.openCount).toBe(1);
    const next = one.next();
    expect(one.steps(next)).toEqual([
      { sequence: 1, ids: [97], reads: 'answer', want: { hidden: false, positions: 1 } },
    ]);
    expect(one.goOn(next, [fine])).toMatchObject([{ weight: 1 }]);
    expect(warnings).toEqual([['answer 4 has lost its expert helpfulness', cause]]);
  });

  test('and it fails before the prompt is read, its row is read no further', () => {
    const { job: one } = job({}, { rowPrompts: { helpfulness: Array(50).fill(1) } });
    one.open();
    expect(one.unread).toBe(50);
    expect(one.goOn(one.next(10), [failed('gone')])).toEqual([]);
    expect(one.unread).toBe(2);
  });

  test('and it is the safety expert, the answer ends, with the cause for the log', () => {
    const { job: one, warnings } = job();
    one.open();
    const cause = new Error('out of memory');
    const feed = one.next();
    expect(() => one.goOn(feed, [failed(cause), fine])).toThrow(
      expect.objectContaining({ code: 'expert_failed', cause }),
    );
    expect(() => one.goOn(feed, [])).toThrow(expect.objectContaining({ code: 'expert_failed' }));
    expect(warnings).toEqual([]);
  });

  test('and it is the helpfulness expert alone, the answer ends', () => {
    const { job: one } = job({ ceiling: 0 });
    one.open();
    expect(() => one.goOn(one.next(), [failed('gone')])).toThrow(expect.objectContaining({ code: 'expert_failed' }));
  });
});

test('gives back the sequence that a spent budget no longer needs', () => {
  const { experts, job: one } = job({ budget: 0.5 }, { proposal: 0 });
  one.open();
  expect(experts.openCount).toBe(2);
  // The safety expert likes two letters, and the other one likes only the second.
  const likes = (...ids: number[]) => logits.map((_, id) => (ids.includes(id) ? 20 : 0));
  const says = (row: Float32Array) => ({ status: 'fulfilled', value: { ...output, row: { logits: row } } }) as const;
  for (let drawn = 0; drawn < 29 && experts.openCount > 1; drawn++) {
    one.goOn(one.next(), [says(likes(97, 98)), says(likes(98))]);
  }
  expect(experts.openCount).toBe(1);
  expect(one.answer.state().spent).toBe(0.5);
  expect(one.answer.sources).toEqual(['safety']);
  expect(one.steps(one.next())).toHaveLength(1);
});

test('gives its sequences back once, however often it is closed', () => {
  const { experts, job: one } = job();
  one.open();
  expect(experts.openCount).toBe(2);
  one.close();
  one.close();
  expect(experts.openCount).toBe(0);
  expect(one.steps(one.next())).toEqual([]);
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
