/** The answer's receipt, checked in this page with the keys that the edge publishes. */
import { useEffect, useState } from 'preact/hooks';
import type { Inspection } from '#shared/protocol/inspect-receipt.ts';
import type { ApiError } from '../net/api.ts';
import { asApiError } from '../net/use-answer.ts';
import { inTime } from '../net/words.ts';
import { CopyButton } from '../parts/copy-button.tsx';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';

export function Receipt({
  token,
  first,
  sent,
  text,
}: {
  token: string;
  first: string | null;
  sent: string;
  text: string;
}) {
  const [found, setFound] = useState<Inspection | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(() => {
    let wanted = true;
    setFound(null);
    setError(null);
    // The check and its schemas are half of the console's code, and only loaded here.
    import('./check-receipt.ts')
      .then(({ checkReceipt }) => checkReceipt({ token, first, sent, text }))
      .then(
        (inspection) => wanted && setFound(inspection),
        (thrown: unknown) => wanted && setError(asApiError(thrown)),
      );
    return () => {
      wanted = false;
    };
  }, [token, first, sent, text]);
  if (error !== null) return <ErrorNotice error={error} />;
  if (found === null) return <Waiting what="Checking the receipt …" />;
  const { genuine, signedAt, checks } = found;
  return (
    <div class={`receipt ${genuine ? 'genuine' : 'wrong'}`}>
      <p class="receipt-verdict">
        <span class="stamp" aria-hidden="true" />
        {genuine ? 'Genuine' : 'Not genuine'}
        {signedAt !== null && <span class="small">, signed {inTime(signedAt)}</span>}
      </p>
      <details>
        <summary>{checks.length} checks, made in this page</summary>
        <ul class="checks">
          {checks.map(({ name, verdict, detail }) => (
            <li key={name} class={verdict.replace(' ', '-')}>
              <strong>{name}</strong> {verdict}
              <span class="small" dir="auto">
                {detail}
              </span>
            </li>
          ))}
        </ul>
        <CopyButton text={token} label="Copy the token" />
      </details>
    </div>
  );
}
