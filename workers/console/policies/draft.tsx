/** The document in an editor. Storing it makes a version that decides nothing yet. */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { Policy } from '#policies/schema.ts';
import type { DraftAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { useAct } from '../parts/act.ts';
import { kept } from '../parts/kept.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import { Editor } from './editor.tsx';
import { written } from './written.ts';

type Drafted = z.infer<typeof DraftAnswer>;

export function Draft({
  at,
  version,
  policy,
  canChange,
  onDraft,
}: {
  at: string;
  version: string;
  policy: Policy;
  canChange: boolean;
  onDraft: (version: string) => void;
}) {
  // What is written here is still there after a look at the other parts.
  const unsaved = kept('policy drafts', () => new Map<string, string>());
  const name = `${at} ${version}`;
  const [stored] = useState(() => written(policy));
  const [begun, setBegun] = useState(() => ({ text: unsaved.get(name) ?? stored, round: 0 }));
  const [text, setText] = useState(begun.text);
  const [problems, setProblems] = useState(0);
  const { act, busy, error } = useAct();
  const change = (now: string) => {
    setText(now);
    if (now === stored) unsaved.delete(name);
    else unsaved.set(name, now);
  };
  const discard = () => {
    change(stored);
    setBegun(({ round }) => ({ text: stored, round: round + 1 }));
  };
  const store = () =>
    act(async () => {
      const document: unknown = JSON.parse(text);
      const { version } = await callJson<Drafted>(`${at}/policies`, { method: 'POST', body: { policy: document } });
      unsaved.delete(name);
      onDraft(version);
    });
  return (
    <div class="stack">
      <Editor key={begun.round} text={begun.text} readOnly={!canChange} onChange={change} onProblems={setProblems} />
      {error !== null && <ErrorNotice error={error} />}
      {canChange && (
        <div class="actions start">
          <button
            type="button"
            class="primary"
            disabled={busy || problems > 0 || text === stored}
            onClick={() => void store()}
          >
            Store as a new version
          </button>
          <span class="small" role="status">
            {problems > 0
              ? `${problems} to mend first`
              : text === stored
                ? 'Nothing is changed'
                : 'It decides nothing until it is activated'}
          </span>
          {text !== stored && (
            <button type="button" class="quiet" onClick={discard}>
              Discard the changes
            </button>
          )}
        </div>
      )}
    </div>
  );
}
