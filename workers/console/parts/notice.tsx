/** What went wrong, is empty or is still to come, and what can be done about it. */
import type { ComponentChildren } from 'preact';
import type { ApiError } from '../net/api.ts';

export function ErrorNotice({ error, again }: { error: ApiError; again?: () => void }) {
  const { message, code, param, retryAfterSeconds } = error;
  return (
    <div class="notice error" role="alert">
      <p dir="auto">{message}</p>
      <p class="small">
        {param !== null && (
          <>
            <code>{param}</code>{' '}
          </>
        )}
        <code>{code}</code>
        {retryAfterSeconds !== null && ` · again in ${retryAfterSeconds} s`}
        {again !== undefined && (
          <>
            {' · '}
            <button type="button" class="link" onClick={again}>
              Try again
            </button>
          </>
        )}
      </p>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="notice empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

export function Waiting({ what }: { what: string }) {
  return (
    <p class="waiting" role="status">
      <span class="swell" aria-hidden="true" />
      {what}
    </p>
  );
}
