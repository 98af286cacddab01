/**
 * One simulation in this tab. It goes on while people look at other parts of the page. Results are
 * in memory alone, because they hold what clients have asked; people save them as a file, which
 * `plimsoll policy simulate` writes and reads too.
 */
import { useEffect, useState } from 'preact/hooks';
import { judgesOf } from '#policies/simulation/judges.ts';
import type { Compared } from '#policies/simulation/outcome.ts';
import type { Messages } from '#policies/simulation/read-prompts.ts';
import { differenceOf, digestOfPrompts, type Head, headOf, lineOf, readResults } from '#policies/simulation/results.ts';
import { isMissing, simulate } from '#policies/simulation/simulate.ts';
import { send } from '../../net/api.ts';

/** What a run is about, as its form has it. */
export type Asked = {
  before: string;
  after: string;
  model: string;
  maxTokens: number;
  seed: number;
  temperature: number | null;
  scores: boolean;
};

export type Run = {
  state: 'idle' | 'running' | 'stopped' | 'failed' | 'done';
  head: Head | null;
  prompts: readonly Messages[];
  done: ReadonlyMap<number, Compared>;
  /** Whether the model turned out to have no heads to judge with. */
  headless: boolean;
  /** Why it could not go on. */
  error: string | null;
};

const NOTHING: Run = { state: 'idle', head: null, prompts: [], done: new Map(), headless: false, error: null };

export type Runner = ReturnType<typeof createRunner>;

export function createRunner(tenant: string) {
  let run = NOTHING;
  let control: AbortController | null = null;
  const listeners = new Set<() => void>();
  const set = (change: Partial<Run>) => {
    run = { ...run, ...change };
    for (const listen of listeners) listen();
  };

  /** Begins, or goes on with what is left of `done`. */
  async function answer(head: Head, prompts: readonly Messages[], done: Map<number, Compared>): Promise<void> {
    control?.abort();
    const own = new AbortController();
    control = own;
    const judges = head.scores
      ? judgesOf(done, { name: 'These results', remedy: 'begin anew, or with other results' })
      : null;
    set({ state: 'running', head, prompts, done: new Map(done), headless: false, error: null });
    const { before, after, model, maxTokens, seed, temperature } = head;
    try {
      await simulate({
        prompts,
        versions: { before, after },
        edge: {
          url: 'The edge',
          post: (route, body, signal) => send(`/admin/v1/${route}`, { method: 'POST', body, signal }),
        },
        settings: { tenant, model, maxTokens, seed, temperature: temperature ?? undefined },
        judges,
        done,
        keep: (compared) => {
          done.set(compared.index, compared);
          if (control === own) set({ done: new Map(done), headless: judges?.areNone ?? false });
        },
        signal: own.signal,
      });
      if (control === own) set({ state: 'done', headless: judges?.areNone ?? false });
    } catch (thrown) {
      if (control !== own) return;
      if (own.signal.aborted) set({ state: 'stopped' });
      else set({ state: 'failed', error: thrown instanceof Error ? thrown.message : String(thrown) });
    }
  }

  return {
    now: () => run,
    listen(listener: () => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    /** Goes on if it is about the same as what is there, and begins anew otherwise. */
    async start(asked: Asked, prompts: readonly Messages[]): Promise<void> {
      const head = headOf({ tenant, ...asked, prompts: await digestOfPrompts(prompts) });
      const isSame = run.head !== null && differenceOf(run.head, head) === null;
      await answer(head, prompts, isSame ? new Map(run.done) : new Map());
    },
    stop: () => control?.abort(),
    clear(): void {
      control?.abort();
      control = null;
      set(NOTHING);
    },
    /**
     * Takes results that were saved, and returns what they are about. Throws if they are another
     * tenant's, or of other prompts.
     */
    async load(text: string, name: string, prompts: readonly Messages[]): Promise<Head> {
      const found = readResults(text, name);
      if (found === null) throw new Error(`${name} is empty.`);
      const { head, done } = found;
      if (head.tenant !== tenant) throw new Error(`${name} is about the tenant ${head.tenant}.`);
      if (head.prompts !== (await digestOfPrompts(prompts))) {
        throw new Error(`${name} is about other prompts. Open the prompts that it was made with first.`);
      }
      control?.abort();
      control = null;
      const left = prompts.some((_, index) => isMissing(done.get(index)));
      set({ ...NOTHING, state: left ? 'stopped' : 'done', head, prompts, done });
      return head;
    },
    /** As the command line writes them. */
    saved(): Blob {
      const { head, done } = run;
      const lines = head === null ? [] : [lineOf(head), ...[...done.values()].map(lineOf)];
      return new Blob(lines, { type: 'application/x-ndjson' });
    },
  };
}

/** The run as it is now. */
export function useRun({ now, listen }: Runner): Run {
  const [run, setRun] = useState(now);
  useEffect(() => {
    setRun(now());
    return listen(() => setRun(now()));
  }, [now]);
  return run;
}
