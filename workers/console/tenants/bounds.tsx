/**
 * What a tenant may ask for: models, limits and shaping, as all levels together allow it, and the
 * form that changes the tenant's own part. A change is a new version of its policy, so it is in the
 * history, and goes back like any other.
 */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import type { BudgetsAnswer } from '../../control/budgets.ts';
import { callJson } from '../net/api.ts';
import { useAnswer } from '../net/use-answer.ts';
import { inWhole } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import { Sheet } from '../parts/sheet.tsx';

type Budgets = z.infer<typeof BudgetsAnswer>;
type Limits = TenantAnswer['policy']['limits'];
type Shaping = TenantAnswer['policy']['shaping'];

const LIMITS: Record<keyof Limits, string> = {
  requests_per_minute: 'requests a minute',
  tokens_per_minute: 'tokens a minute',
  concurrent_streams: 'answers at once',
  tokens_per_day: 'tokens a day',
  tokens_per_month: 'tokens a month',
  max_tokens: 'tokens of one answer',
  tries_per_prompt_per_minute: 'tries of one prompt a minute',
};
const SHAPING: Record<Exclude<keyof Shaping, 'n'>, string> = {
  logprobs: 'ask for log-probabilities',
  bias: 'bias or ban tokens',
  penalties: 'set penalties for repetition',
  plain_prompts: 'send plain prompts',
  grammar: 'say what its answer must look like',
  tools: 'offer tools',
};
// The casts: the keys of a record lose their type.
const LIMIT_NAMES = Object.keys(LIMITS) as (keyof Limits)[];
const SHAPING_NAMES = Object.keys(SHAPING) as Exclude<keyof Shaping, 'n'>[];

export function Bounds({
  tenant,
  canChange,
  onChange,
}: {
  tenant: TenantAnswer;
  canChange: boolean;
  onChange: () => void;
}) {
  const { id, policy } = tenant;
  const budgets = useAnswer(
    (signal) => callJson<Budgets>(`/admin/v1/tenants/${id}/budgets`, { signal }),
    [id, tenant.revision],
  );
  const [changing, setChanging] = useState(false);
  const limits = budgets.value?.limits ?? policy.limits;
  const forbidden = SHAPING_NAMES.filter((name) => !policy.shaping[name]);
  return (
    <section class="stack">
      <header class="page-head">
        <h2>What it may ask for</h2>
        {canChange && tenant.problem === null && (
          <button type="button" onClick={() => setChanging(true)}>
            Change
          </button>
        )}
      </header>
      {budgets.error !== null && <ErrorNotice error={budgets.error} again={budgets.again} />}
      {changing && (
        <BoundsSheet
          tenant={tenant}
          effective={limits}
          onClose={() => setChanging(false)}
          onDone={() => {
            setChanging(false);
            onChange();
          }}
        />
      )}
      <dl class="facts">
        <div>
          <dt>Models</dt>
          <dd class="wrap">{policy.models === null ? 'all' : policy.models.join(', ') || 'none'}</dd>
        </div>
        {LIMIT_NAMES.map((name) => (
          <div key={name}>
            <dt>{LIMITS[name]}</dt>
            <dd>
              {bound(limits[name])}
              {limits[name] !== policy.limits[name] && <span class="small"> by a level above</span>}
            </dd>
          </div>
        ))}
        <div>
          <dt>Answers to one request</dt>
          <dd>{bound(policy.shaping.n)}</dd>
        </div>
        <div>
          <dt>It may not</dt>
          <dd>{forbidden.length === 0 ? 'nothing is forbidden' : forbidden.map((name) => SHAPING[name]).join('; ')}</dd>
        </div>
      </dl>
    </section>
  );
}

const bound = (limit: number | null) => (limit === null ? 'no limit' : inWhole(limit));

function BoundsSheet({
  tenant: { id, revision, policy, canary },
  effective,
  onClose,
  onDone,
}: {
  tenant: TenantAnswer;
  effective: Limits;
  onClose: () => void;
  onDone: () => void;
}) {
  const [limits, setLimits] = useState(policy.limits);
  const [shaping, setShaping] = useState(policy.shaping);
  const [models, setModels] = useState(policy.models?.join('\n') ?? '');
  const { act, busy, error } = useAct();
  const save = async () => {
    const named = models
      .split('\n')
      .map((each) => each.trim())
      .filter((each) => each !== '');
    const changed = { ...policy, limits, shaping, models: named.length === 0 ? null : named };
    const at = `/admin/v1/tenants/${id}/policies`;
    const done = await act(async () => {
      const draft = { method: 'POST', body: { policy: changed } } as const;
      const { version, created } = await callJson<{ version: string; created: boolean }>(at, draft);
      // A draft is a change, too. If somebody else made one in between, nothing is activated.
      const ifMatch = `"${revision + (created ? 1 : 0)}"`;
      await callJson(`${at}/${version}/activate`, { method: 'POST', body: { share: 1 }, ifMatch });
    });
    if (done) onDone();
  };
  return (
    <Sheet title="What it may ask for" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <fieldset class="stack tight">
          <legend>Limits. Left empty: none of its own</legend>
          {LIMIT_NAMES.map((name) => (
            <WholeNumber
              key={name}
              name={LIMITS[name]}
              note={effective[name] === policy.limits[name] ? null : `above it: ${bound(effective[name])}`}
              value={limits[name]}
              onChange={(to) => setLimits((last) => ({ ...last, [name]: to }))}
            />
          ))}
          <WholeNumber
            name="answers to one request"
            value={shaping.n}
            onChange={(n) => setShaping((last) => ({ ...last, n }))}
          />
        </fieldset>
        <fieldset class="stack tight">
          <legend>A request may</legend>
          {SHAPING_NAMES.map((name) => (
            <label key={name} class="check">
              <input
                type="checkbox"
                checked={shaping[name]}
                onChange={({ currentTarget: { checked } }) => setShaping((last) => ({ ...last, [name]: checked }))}
              />
              <span>{SHAPING[name]}</span>
            </label>
          ))}
        </fieldset>
        <label>
          Models, one a line. Left empty: all
          <textarea
            rows={3}
            spellcheck={false}
            value={models}
            onInput={(event) => setModels(event.currentTarget.value)}
          />
        </label>
        <p class="small">
          This is stored as a new version of the policy and activated for all
          {canary !== null && ', which ends the canary'}. The Policies page can roll it back. Limits that are yours to
          set belong into a plan: a key with admin can change these.
        </p>
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy}>
            Store and activate
          </button>
        </div>
      </form>
    </Sheet>
  );
}

/** Left empty, it is null. */
function WholeNumber({
  name,
  note = null,
  value,
  onChange,
}: {
  name: string;
  note?: string | null;
  value: number | null;
  onChange: (to: number | null) => void;
}) {
  return (
    <label class="number-row">
      <span>
        {name}
        {note !== null && <span class="small block">{note}</span>}
      </span>
      <input
        type="number"
        min={1}
        step={1}
        inputMode="numeric"
        value={value ?? ''}
        onInput={({ currentTarget: { value } }) => onChange(value === '' ? null : Number(value))}
      />
    </label>
  );
}
