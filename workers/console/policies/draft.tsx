/** The document in an editor. Storing it makes a version that decides nothing yet. */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { Policy } from '#policies/schema.ts';
import type { DraftAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import { Editor } from './editor.tsx';
import { written } from './written.ts';

type Drafted = z.infer<typeof DraftAnswer>;

export function Draft({
  at,
  policy,
  canChange,
  onDraft,
}: {
  at: string;
  policy: Policy;
  canChange: boolean;
  onDraft: (version: string) => void;
}) {
  const [first] = useState(() => written(policy));
  const [text, setText] = useState(first);
  const [problems, setProblems] = useState(0);
  const { act, busy, error } = useAct();
  const store = () =>
    act(async () => {
      const document: unknown = JSON.parse(text);
      const { version } = await callJson<Drafted>(`${at}/policies`, { method: 'POST', body: { policy: document } });
      onDraft(version);
    });
  return (
    <div class="stack">
      <Editor text={first} readOnly={!canChange} onChange={setText} onProblems={setProblems} />
      {error !== null && <ErrorNotice error={error} />}
      {canChange && (
        <div class="actions start">
          <button
            type="button"
            class="primary"
            disabled={busy || problems > 0 || text === first}
            onClick={() => void store()}
          >
            Store as a new version
          </button>
          <span class="small" role="status">
            {problems > 0
              ? `${problems} to mend first`
              : text === first
                ? 'Nothing is changed'
                : 'It decides nothing until it is activated'}
          </span>
        </div>
      )}
    </div>
  );
}
