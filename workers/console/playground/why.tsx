/** Which level set each bound for this prompt. The admin API explains it, where the key may ask. */
import { useState } from 'preact/hooks';
import type { ExplainedBound } from '#policies/explain.ts';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import { type ApiError, callJson } from '../net/api.ts';
import { asApiError } from '../net/use-answer.ts';
import { BoundsTable } from '../parts/bounds-table.tsx';
import { ErrorNotice } from '../parts/notice.tsx';
import type { Asked, LaneLine } from './ask.ts';

/** What a request is under, in the order in which people ask. */
const SHOWN = ['action', 'floor', 'ceiling', 'budget', 'opening.floor', 'opening.tokens', 'rule'];

type Explained = { bounds: ExplainedBound[] };

export function Why({
  tenant: { id, version },
  line: { floor, budget },
  sent,
}: {
  /** `version` null: the active one. */
  tenant: { id: string; version: string | null };
  prompt: Asked;
  line: LaneLine;
  sent: string;
}) {
  const [found, setFound] = useState<ExplainedBound[] | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const ask = async () => {
    try {
      const at = `/admin/v1/tenants/${id}`;
      const known = version ?? (await callJson<TenantAnswer>(at)).policy_version;
      // The cast: it is our own request, as it was sent.
      const { messages } = JSON.parse(sent) as { messages: unknown };
      const body = { messages, plimsoll: { ...(floor !== null && { floor }), ...(budget !== null && { budget }) } };
      const explained = await callJson<Explained>(`${at}/policies/${encodeURIComponent(known)}/explain`, {
        method: 'POST',
        body,
      });
      setFound(explained.bounds.filter(({ bound }) => SHOWN.includes(bound)));
    } catch (thrown) {
      setError(asApiError(thrown));
    }
  };
  return (
    <details onToggle={(event) => event.currentTarget.open && found === null && void ask()}>
      <summary>Who set which bound</summary>
      {error !== null && <ErrorNotice error={error} again={() => void ask()} />}
      {found !== null && <BoundsTable bounds={found} />}
    </details>
  );
}
