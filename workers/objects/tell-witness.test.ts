/** The witness knows every change by the time that it is answered, whatever else is being told. */
import { expect, test } from 'vitest';
import { type AuditEntry, chainEvents, NO_AUDIT, witnessed } from './audit-chain.ts';
import type { AuditWitnessContract } from './audit-witness-contract.ts';
import { createExclusive } from './exclusive.ts';
import { createWitnessTeller, type Wait } from './tell-witness.ts';

const PAGE = 3;
/** No clock of these tests ever goes on. */
const forEver: Wait = () => new Promise(() => undefined);

/** A log and a witness in memory. The witness does what the object does, and notes each call. */
function start({ wait = forEver }: { wait?: Wait } = {}) {
  const entries: AuditEntry[] = [];
  const calls: number[][] = [];
  const state = { known: NO_AUDIT, alarm: null as number | null, held: Promise.resolve() };
  const exclusive = createExclusive();
  const witness: AuditWitnessContract = {
    head: async () => state.known,
    follow(page) {
      calls.push(page.map(({ seq }) => seq));
      const { held } = state;
      return exclusive(async () => {
        await held;
        state.known = await witnessed(state.known, page);
        return state.known;
      });
    },
  };
  const log = {
    head: () => entries.at(-1) ?? NO_AUDIT,
    page: (after: number) => entries.filter(({ seq }) => seq > after).slice(0, PAGE),
    async setAlarm(at: number) {
      state.alarm = at;
    },
    async deleteAlarm() {
      state.alarm = null;
    },
  };
  const create = () => createWitnessTeller(log, { witness, wait });
  let teller = create();
  return {
    entries,
    calls,
    state,
    get teller() {
      return teller;
    },
    /** The index starts again, and knows nothing of the calls that it has made. */
    crash() {
      teller = create();
    },
    async change(count = 1) {
      const event = { at: '', actor: 'operator', action: 'plan-put', tenant: '', detail: '{}' };
      const news = await chainEvents(log.head(), Array<typeof event>(count).fill(event));
      teller.owe();
      entries.push(...news);
    },
    /** Holds the witness's answers until the returned function is called. */
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      state.held = promise;
      return () => {
        state.held = Promise.resolve();
        resolve();
      };
    },
  };
}
const seqs = (calls: number[][]) => calls.flat();
const turns = async () => {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
};

/** The witness knows one change, and is being told of a second one until `release` is called. */
async function midTelling(options?: Parameters<typeof start>[0]) {
  const under = start(options);
  await under.change();
  await under.teller.tell();
  const release = under.hold();
  await under.change();
  const telling = under.teller.tell();
  await turns();
  return { under, release, telling };
}

test('a change that comes while another is told is known once its own telling is over', async () => {
  const { under, release, telling: earlier } = await midTelling();
  await under.change();
  const own = under.teller.tell();
  await turns();
  release();
  expect((await own)?.seq).toBe(3);
  expect(under.state).toMatchObject({ known: { seq: 3 }, alarm: null });
  await earlier;
  expect(seqs(under.calls)).toEqual([1, 2, 3]);
});

test('however many tell at once, each entry is told once, and all that came before is known', async () => {
  const under = start();
  await under.change(2);
  const tells = [under.teller.tell()];
  for (let change = 0; change < 8; change++) {
    await under.change(change % 4);
    const seq = under.entries.length;
    tells.push(
      under.teller.tell().then((head) => {
        expect(head?.seq).toBeGreaterThanOrEqual(seq);
        return head;
      }),
    );
  }
  await Promise.all(tells);
  expect(under.state).toMatchObject({ known: { seq: 14, hash: under.entries[13]?.hash }, alarm: null });
  // The first one stands for all before it.
  expect(seqs(under.calls)).toEqual(Array.from({ length: 13 }, (_, index) => index + 2));
});

test('an index that starts again while the witness takes a page goes on from there', async () => {
  const { under, release, telling: lost } = await midTelling();
  under.crash();
  await under.change();
  const own = under.teller.tell();
  await turns();
  release();
  expect((await own)?.seq).toBe(3);
  expect(under.state).toMatchObject({ known: { seq: 3 }, alarm: null });
  await lost;
});

test('a call that hangs is given up, so that it holds up no later one, and its alarm stays', async () => {
  const waits: { ms: number; resolve: () => void }[] = [];
  const wait: Wait = (ms) => new Promise((resolve) => waits.push({ ms, resolve }));
  const { under, release, telling: hanging } = await midTelling({ wait });
  waits.at(-1)?.resolve();
  await expect(hanging).rejects.toThrow('the witness did not answer within 30 seconds');
  expect(under.state.alarm).not.toBeNull();
  release();
  await under.change();
  expect((await under.teller.tell())?.seq).toBe(3);
  expect(under.state.alarm).toBeNull();
});

test('a change waits no longer than its patience for a witness that hangs', async () => {
  const waits: { ms: number; resolve: () => void }[] = [];
  const wait: Wait = (ms) => new Promise((resolve) => waits.push({ ms, resolve }));
  const under = start({ wait });
  under.hold();
  await under.change();
  const soon = under.teller.tellSoon();
  await turns();
  waits.find(({ ms }) => ms === 2_000)?.resolve();
  await soon;
  expect(under.state).toMatchObject({ known: NO_AUDIT, alarm: expect.any(Number) });
});

test('a log that was cut and has grown again moves the witness nowhere, however it is told', async () => {
  const under = start();
  await under.change(4);
  await under.teller.tell();
  const { known } = under.state;
  under.entries.length = 2;
  const event = { at: '', actor: 'operator', action: 'other', tenant: '', detail: '{}' };
  under.entries.push(...(await chainEvents(under.entries[1] ?? NO_AUDIT, Array<typeof event>(9).fill(event))));
  expect(await under.teller.tell()).toEqual(known);
  // Nor does a page that overlaps what it knows.
  expect(await witnessed(known, under.entries)).toEqual(known);
});

test('a witness skips entries that it has, and takes no page with a gap', async () => {
  const under = start();
  await under.change(5);
  const [first, , third, , fifth] = under.entries;
  expect(await witnessed(third ?? NO_AUDIT, under.entries)).toEqual({ seq: 5, hash: fifth?.hash });
  expect(await witnessed(third ?? NO_AUDIT, under.entries.slice(0, 2))).toBe(third);
  expect(await witnessed(first ?? NO_AUDIT, under.entries.slice(2))).toBe(first);
});
