/** A stored answer with its trace, and where this version could have made a difference. */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { Line } from '#shared/line/line.ts';
import type { ReplayAnswer } from '../../control/replay.ts';
import { callJson } from '../net/api.ts';
import { inTwo, inWhole, nats } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { kept } from '../parts/kept.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import type { PartProps } from './common/place.ts';
import { FileButton } from './common/prompts-field.tsx';

type Replayed = z.infer<typeof ReplayAnswer>;

export function ReplayPart({ place: { id, at, version } }: PartProps) {
  const last = kept(`replay ${id}`, () => ({ request: '', answer: '' }));
  const [request, setRequest] = useState(last.request);
  const [answer, setAnswer] = useState(last.answer);
  Object.assign(last, { request, answer });
  const [found, setFound] = useState<Replayed | null>(null);
  const { act, busy, error } = useAct();
  const replay = () =>
    act(async () => {
      setFound(null);
      setFound(
        await callJson<Replayed>(`${at}/policies/${version}/replay`, { method: 'POST', body: { request, answer } }),
      );
    });
  return (
    <>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void replay();
        }}
      >
        <p class="small">
          The request exactly as it was sent, and its whole answer as JSON, which was asked for with{' '}
          <code>{'"plimsoll": {"trace": "tokens", "top": 20}'}</code>. The receipt in it has to hold for both. Nothing
          is spent.
        </p>
        <div class="two">
          <JsonField label="Request" value={request} onChange={setRequest} />
          <JsonField label="Answer" value={answer} onChange={setAnswer} />
        </div>
        <div class="actions start">
          <button type="submit" class="primary" disabled={busy || request.trim() === '' || answer.trim() === ''}>
            Replay
          </button>
        </div>
      </form>
      {error !== null && <ErrorNotice error={error} />}
      {found !== null && <Verdict found={found} answer={answer} />}
    </>
  );
}

function JsonField({ label, value, onChange }: { label: string; value: string; onChange: (text: string) => void }) {
  return (
    <div class="stack tight">
      <label class="stack tight">
        {label}
        <textarea
          class="code-text"
          rows={8}
          spellcheck={false}
          value={value}
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      </label>
      <FileButton
        label={`Open the ${label.toLowerCase()} …`}
        accept=".json"
        onFile={async (file) => file !== undefined && onChange(await file.text())}
      />
    </div>
  );
}

function Verdict({ found, answer }: { found: Replayed; answer: string }) {
  const { tokens, could, surely, unknown, redraws, notes } = found;
  // The cast: the route gives the line as JSON, as it is in the receipt.
  const [before, after] = [found.before as Line, found.after as Line | null];
  const at = ({ token, why }: { token: number; why: string }) =>
    `${token === tokens ? `at the end, after ${inWhole(tokens)} tokens` : `at token ${inWhole(token + 1)} of ${inWhole(tokens)}`}: ${why}`;
  return (
    <section class="stack" aria-label="What the replay finds" aria-live="polite">
      {could === null ? (
        <p class="notice good">No difference in {inWhole(tokens)} tokens.</p>
      ) : unknown === null ? (
        <p class="notice">The first difference is {at(could)}.</p>
      ) : (
        <div class="notice">
          <p>Not known from here on, {at(unknown)}.</p>
          <p>{surely === null ? 'It surely differs nowhere.' : `It surely differs ${at(surely)}.`}</p>
        </div>
      )}
      <Text answer={answer} from={(surely ?? could)?.token ?? null} isSure={surely !== null} />
      <table class="bounds">
        <caption class="hidden">The line that was held, and the line under this version</caption>
        <thead>
          <tr>
            <th>bound</th>
            <th>held</th>
            <th>under this version</th>
          </tr>
        </thead>
        <tbody>
          <Bound name="action" before={words(before.action)} after={after === null ? 'refuse' : words(after.action)} />
          <Bound name="floor" before={inTwo(before.floor)} after={after && inTwo(after.floor)} />
          <Bound name="ceiling" before={inTwo(before.ceiling)} after={after && inTwo(after.ceiling)} />
          <Bound name="budget" before={nats(before.budget)} after={after && nats(after.budget)} />
          <Bound name="rule" before={before.rule} after={after?.rule ?? null} />
        </tbody>
      </table>
      {redraws === true && (
        <p class="small">Asked again under this version, it is another sample from its first token on.</p>
      )}
      {redraws === null && <p class="small">Asked again, it may be another sample: the receipt does not tell.</p>}
      {notes.map((note) => (
        <p key={note} class="small">
          Note: {note}.
        </p>
      ))}
    </section>
  );
}

function Bound({ name, before, after }: { name: string; before: string; after: string | null }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="number">{before}</td>
      <td class="number">{after === null ? '–' : after === before ? 'the same' : <b>{after}</b>}</td>
    </tr>
  );
}

/** The answer's text, up to the token and from it on. */
function Text({ answer, from, isSure }: { answer: string; from: number | null; isSure: boolean }) {
  const texts = textsIn(answer);
  if (texts === null) return null;
  const at = from ?? texts.length;
  return (
    <p class="plain-text panel" dir="auto">
      {texts.slice(0, at).join('')}
      {at < texts.length && <mark class={isSure ? 'sure' : 'maybe'}>{texts.slice(at).join('')}</mark>}
    </p>
  );
}

function textsIn(answer: string): string[] | null {
  try {
    // The cast: the edge has just replayed it, so it is what an answer looks like.
    const { plimsoll } = JSON.parse(answer) as { plimsoll: { tokens?: { text: string }[] } };
    return plimsoll.tokens?.map(({ text }) => text) ?? null;
  } catch {
    return null;
  }
}

const words = (name: string) => name.replaceAll('_', ' ');
