/** A plan as a form: a name, and the part of a policy that holds for all of its tenants. */
import '../parts/without-eval.ts';
import { useState } from 'preact/hooks';
import { LOOSEST, type Policy } from '#policies/schema.ts';
import type { PlanAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { NameField } from './name-field.tsx';

const EXAMPLE = { limits: { max_tokens: 256, requests_per_minute: 60, tokens_per_day: 200_000 } };

export function PlanSheet({
  plan,
  onClose,
  onDone,
}: {
  /** null: a new one. */
  plan: PlanAnswer | null;
  onClose: () => void;
  onDone: () => void;
}) {
  const [id, setId] = useState(plan?.id ?? '');
  const [name, setName] = useState(plan?.name ?? '');
  const [text, setText] = useState(JSON.stringify(plan === null ? EXAMPLE : said(plan.policy), null, 2));
  const { act, busy, error } = useAct();
  const policy = parsed(text);
  const save = async () => {
    if (policy === null) return;
    const options = {
      method: 'PUT',
      body: { name, policy },
      // A new one takes nobody's place.
      ifMatch: `"${plan?.revision ?? 0}"`,
    } as const;
    if (await act(() => callJson(`/admin/v1/plans/${id}`, options))) onDone();
  };
  return (
    <Sheet title={plan === null ? 'New plan' : `Change ${plan.name}`} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <NameField name={name} onName={setName} />
        <label>
          Id
          <input
            required
            pattern="[a-z0-9][a-z0-9_\-]{0,63}"
            spellcheck={false}
            readOnly={plan !== null}
            value={id}
            onInput={(event) => setId(event.currentTarget.value)}
          />
        </label>
        <label>
          What it bounds, as a policy in JSON
          <textarea
            class="code"
            rows={10}
            dir="ltr"
            spellcheck={false}
            value={text}
            aria-invalid={policy === null}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <p class="small" role="status">
          {policy === null
            ? 'This is not a JSON object yet.'
            : 'What is left out bounds nothing. Its tenants are under it within 70 seconds.'}
        </p>
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy || policy === null}>
            Save
          </button>
        </div>
      </form>
    </Sheet>
  );
}

/** What a plan's policy says, without the fields that bound nothing. */
function said(policy: Policy): object {
  const loosest: Record<string, unknown> = LOOSEST;
  const isSaid = (value: unknown, open: unknown) => JSON.stringify(value) !== JSON.stringify(open);
  const fields = Object.entries(policy).filter(([name, value]) => isSaid(value, loosest[name]));
  const document = Object.fromEntries(fields);
  if ('limits' in document) {
    document.limits = Object.fromEntries(Object.entries(policy.limits).filter(([, most]) => most !== null));
  }
  return document;
}

/** null: not a JSON object. */
function parsed(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
