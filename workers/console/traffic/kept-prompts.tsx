/**
 * The prompts that a tenant's policy lets the edge keep. Reading them is an entry in its audit log,
 * so nothing is read before somebody asks for it.
 */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import { textOfTurn } from '#policies/simulation/read-prompts.ts';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import type { KeptPrompt } from '../../control/samples.ts';
import { call, callJson } from '../net/api.ts';
import { addressOf, follow } from '../net/router.ts';
import { may, useSession } from '../net/session.tsx';
import { useAnswer } from '../net/use-answer.ts';
import { inPercent, inTime, inWhole } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Sheet } from '../parts/sheet.tsx';

type Prompt = z.infer<typeof KeptPrompt>;

/** How many are read at once. */
const SHOWN = 50;

export function KeptPrompts({ tenant }: { tenant: string }) {
  const session = useSession();
  const mayRead = may(session, 'admin') && may(session, 'prompts');
  const policy = useAnswer(
    async (signal) => (await callJson<TenantAnswer>(`/admin/v1/tenants/${tenant}`, { signal })).policy,
    [tenant],
  );
  const [prompts, setPrompts] = useState<readonly Prompt[] | null>(null);
  const [erasing, setErasing] = useState(false);
  const { act, busy, error } = useAct();
  const at = `/admin/v1/tenants/${tenant}/samples`;
  const read = () =>
    act(async () => {
      const lines = await (await call(`${at}?limit=${SHOWN}`)).text();
      // The cast: the edge has made each line by this schema.
      setPrompts(
        lines
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line) as Prompt),
      );
    });
  const retention = policy.value?.retention ?? null;
  return (
    <section class="stack">
      <header class="page-head">
        <h2>Prompts that are kept</h2>
        {mayRead && retention?.traffic === true && (
          <button type="button" disabled={busy} onClick={() => void read()}>
            {prompts === null ? 'Read them' : 'Read again'}
          </button>
        )}
        {mayRead && (
          <button type="button" class="danger" onClick={() => setErasing(true)}>
            Erase them
          </button>
        )}
      </header>
      {policy.error !== null && <ErrorNotice error={policy.error} again={policy.again} />}
      {policy.value === null && policy.error === null && <Waiting what="Reading the policy …" />}
      {retention !== null && (
        <p class="small">
          {retention.traffic ? (
            <>
              The policy keeps {inPercent(retention.share)} of the prompts for {inWhole(retention.days)} days, if its
              levels above allow it. Reading and erasing are entries in the audit log.
            </>
          ) : (
            <>
              The policy keeps none (<code>retention.traffic</code>), so nobody can read what was said.{' '}
              <a href={addressOf('policies', tenant)} onClick={(event) => follow(event, 'policies', tenant)}>
                Its policy
              </a>
            </>
          )}
          {!mayRead && ' This key cannot read them: that takes the scopes admin and prompts.'}
        </p>
      )}
      {error !== null && <ErrorNotice error={error} />}
      {prompts?.length === 0 && <p class="notice">None is kept just now.</p>}
      {prompts !== null && prompts.length > 0 && (
        <ol class="log kept">
          {prompts.map(({ kept_at, messages }, place) => (
            <li key={place}>
              <time class="small" dateTime={kept_at}>
                {inTime(kept_at)}
              </time>
              <div>
                {messages.map((message, turn) => (
                  <p key={turn} class="wrap" dir="auto">
                    <span class="small">{message.role} </span>
                    {textOfTurn(message)}
                  </p>
                ))}
              </div>
            </li>
          ))}
        </ol>
      )}
      {erasing && (
        <Erase
          at={at}
          onClose={() => setErasing(false)}
          onDone={() => {
            setErasing(false);
            setPrompts(null);
          }}
        />
      )}
    </section>
  );
}

function Erase({ at, onClose, onDone }: { at: string; onClose: () => void; onDone: () => void }) {
  const { act, busy, error } = useAct();
  const erase = async () => {
    if (await act(() => callJson(at, { method: 'DELETE' }))) onDone();
  };
  return (
    <Sheet title="Erase the prompts that are kept?" onClose={onClose}>
      <div class="stack">
        <p>All of this tenant’s are erased, at once. The audit log tells how many there were, and nothing of them.</p>
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="button" class="danger" disabled={busy} onClick={() => void erase()}>
            Erase them
          </button>
        </div>
      </div>
    </Sheet>
  );
}
