/** The same prompts under two versions: what each answers, and how they differ in the sum. */
import { useEffect, useState } from 'preact/hooks';
import { isMissing } from '#policies/simulation/simulate.ts';
import { summarise } from '#policies/simulation/summary.ts';
import { call } from '../../net/api.ts';
import { may, useSession } from '../../net/session.tsx';
import { inWhole } from '../../net/words.ts';
import { useAct } from '../../parts/act.ts';
import { kept } from '../../parts/kept.ts';
import { Empty, ErrorNotice } from '../../parts/notice.tsx';
import { useModels } from '../common/model-field.tsx';
import { type PartProps, short } from '../common/place.ts';
import { FileButton, NO_PROMPTS, PromptsField, readWritten } from '../common/prompts-field.tsx';
import { Answers } from './answers.tsx';
import { Plane } from './plane.tsx';
import { type Asked, createRunner, type Run, type Runner, useRun } from './run.ts';
import { Settings } from './settings.tsx';
import { Sums } from './sums.tsx';

const MOST_RECENT = 100;

export function SimulatePart({ place: { id, at, version, history } }: PartProps) {
  const session = useSession();
  const runner = kept(
    `simulation ${id}`,
    () => createRunner(id),
    ({ stop }) => stop(),
  );
  const run = useRun(runner);
  const models = useModels();
  const last = kept(`simulation form ${id}`, () => ({ written: NO_PROMPTS, asked: firstAsked(version, history) }));
  const [written, setWritten] = useState(last.written);
  const [asked, setAsked] = useState<Asked>(() => ({ ...last.asked, ...chosenIn(version, last.asked) }));
  Object.assign(last, { written, asked });
  const read = readWritten(written);
  const { act, busy: reading, error } = useAct();
  const running = run.state === 'running';
  useGuard(running);
  const model = asked.model === '' ? (models.value?.[0] ?? '') : asked.model;
  const ready = read.prompts.length > 0 && model !== '';
  const recent = () =>
    act(async () => {
      const text = await (await call(`${at}/samples?limit=${MOST_RECENT}`)).text();
      if (text.trim() === '') throw new Error('No prompt is kept yet.');
      setWritten({ text, from: 'the latest that clients have asked' });
    });
  const load = (file: File | undefined) =>
    file === undefined
      ? undefined
      : act(async () => {
          const head = await runner.load(await file.text(), file.name, read.prompts);
          const { before, after, model, maxTokens, seed, temperature, scores } = head;
          setAsked({ before, after, model, maxTokens, seed, temperature, scores });
        });
  return (
    <>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (running) runner.stop();
          else void runner.start({ ...asked, model }, read.prompts);
        }}
      >
        <Settings
          history={history}
          models={models.value ?? []}
          asked={{ ...asked, model }}
          disabled={running}
          onChange={(change) => setAsked((now) => ({ ...now, ...change }))}
        />
        <PromptsField written={written} read={read} disabled={running} onChange={setWritten}>
          {may(session, 'prompts') && (
            <button type="button" class="quiet" disabled={running || reading} onClick={() => void recent()}>
              Take the latest that are kept
            </button>
          )}
        </PromptsField>
        {error !== null && <ErrorNotice error={error} />}
        {models.error !== null && <ErrorNotice error={models.error} again={models.again} />}
        <div class="actions start">
          <button type="submit" class="primary" disabled={!running && !ready}>
            {running ? 'Stop' : run.state === 'stopped' || run.state === 'failed' ? 'Go on' : 'Simulate'}
          </button>
          <FileButton
            label="Open results …"
            accept=".jsonl"
            disabled={running || read.prompts.length === 0}
            onFile={load}
          />
          <Keep run={run} runner={runner} id={id} />
        </div>
        <p class="small">Each prompt is answered twice, at the tenant’s expense and within its limits.</p>
      </form>
      <Progress run={run} />
      {run.head === null || run.done.size === 0 ? (
        run.state === 'idle' && (
          <Empty title="Two versions, the same prompts">
            <p>Choose two versions, stored drafts among them, and give some prompts.</p>
          </Empty>
        )
      ) : (
        <Outcome run={run} />
      )}
    </>
  );
}

/** Save and forget. */
function Keep({ run, runner, id }: { run: Run; runner: Runner; id: string }) {
  if (run.head === null || run.done.size === 0) return null;
  const save = () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(runner.saved());
    link.download = `simulation-${id}.jsonl`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <>
      <button type="button" class="quiet" onClick={save}>
        Save the results
      </button>
      <button type="button" class="quiet" disabled={run.state === 'running'} onClick={runner.clear}>
        Clear
      </button>
    </>
  );
}

function Progress({ run: { state, prompts, done, error } }: { run: Run }) {
  if (state === 'idle') return null;
  const left = prompts.filter((_, index) => isMissing(done.get(index))).length;
  const told = {
    running: 'Answering …',
    stopped: 'Stopped. It goes on from here.',
    failed: 'It could not go on.',
    done: left === 0 ? 'All are answered.' : `${inWhole(left)} could not be answered or scored.`,
  }[state];
  return (
    <div class="stack tight">
      <label class="stack tight">
        <span class="small" role="status">
          {inWhole(prompts.length - left)} of {inWhole(prompts.length)} prompts. {told}
        </span>
        <progress max={prompts.length} value={prompts.length - left} />
      </label>
      {error !== null && (
        <p class="notice error" role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

function Outcome({ run: { head, prompts, done, headless } }: { run: Run }) {
  if (head === null) return null;
  const compared = [...done.values()].sort((a, b) => a.index - b.index);
  const names = [short(head.before), short(head.after)] as const;
  return (
    <>
      <Sums summary={summarise(compared)} names={names} />
      <Plane compared={compared} names={names} why={whyNoScores({ asked: head.scores, headless, model: head.model })} />
      <Answers compared={compared} prompts={prompts} names={names} />
    </>
  );
}

function whyNoScores({ asked, headless, model }: { asked: boolean; headless: boolean; model: string }): string {
  if (!asked) return 'The heads were not asked, so there are no scores.';
  if (headless) return `The bundle of ${model} has no reward and cost heads, so nobody judges the answers.`;
  return 'No answer is scored yet.';
}

function firstAsked(version: string, { active, activations, versions }: PartProps['place']['history']): Asked {
  const other = [...activations].reverse().find((each) => each.version !== active)?.version;
  const after =
    version === active ? (versions.findLast((each) => each.version !== active)?.version ?? active) : version;
  return {
    ...{ before: active, after: after === active ? (other ?? active) : after, model: '' },
    ...{ maxTokens: 128, seed: 1, temperature: null, scores: true },
  };
}

/** The version that is looked at is one of the two. */
function chosenIn(version: string, { before, after }: Asked): Partial<Asked> {
  return version === before || version === after ? {} : { after: version };
}

/** The browser asks before a run is lost with its tab. */
function useGuard(running: boolean): void {
  useEffect(() => {
    if (!running) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener('beforeunload', ask);
    return () => removeEventListener('beforeunload', ask);
  }, [running]);
}
