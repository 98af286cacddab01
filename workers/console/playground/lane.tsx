/** One line: its bounds, the answer under it, and everything that can be read off the answer. */
import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { inTwo, nats } from '../net/words.ts';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';
import { AsCode } from './as-code.tsx';
import type { LaneLine } from './ask.ts';
import { Chart } from './chart.tsx';
import { lineOf } from './line-of.ts';
import { Look } from './look.tsx';
import { Receipt } from './receipt.tsx';
import { TokenDetail } from './token-detail.tsx';
import { TokenText } from './token-text.tsx';
import type { LaneAnswer } from './use-lane.ts';

export function Lane({
  name,
  line,
  answer,
  policyBudget,
  controls,
  why,
}: {
  name: string;
  line: LaneLine;
  answer: LaneAnswer;
  policyBudget: number | null;
  controls: ComponentChildren;
  /** Which level set each bound, where the key may know. */
  why: ComponentChildren;
}) {
  const [active, setActive] = useState<number | null>(null);
  const { state, text, tokens, extension, error, sent, withoutTrace, finishReason } = answer;
  // The prompt may tighten it. What was held, the answer's end says.
  const budget = extension === null ? (line.budget ?? policyBudget) : (extension.budget ?? null);
  // Not of the cache's own receipt, which names the first one and has no line.
  const held = useMemo(() => lineOf(extension?.receipt), [extension]);
  const isTraced = tokens.length > 0;
  // A refusal by the second look is text without tokens.
  const untraced = isTraced ? text.slice(tokens.map((token) => token.text).join('').length) : text;
  return (
    <article class={`lane ${state}`} aria-label={name}>
      <header class="lane-head">{controls}</header>
      <div class="answer" aria-busy={state === 'asking' || state === 'streaming'}>
        {state === 'none' && <p class="idle">The answer under this line will stand here.</p>}
        {state === 'asking' && <Waiting what="Waiting for the first token …" />}
        {isTraced && <TokenText tokens={tokens} active={active} setActive={setActive} label={name} />}
        {untraced !== '' && (
          <p class="plain-text" dir="auto">
            {untraced}
          </p>
        )}
        {error !== null && <ErrorNotice error={error} />}
        {withoutTrace && state === 'done' && <p class="small">The policy keeps the tokens’ numbers to itself.</p>}
        {state === 'stopped' && <p class="small">Stopped.</p>}
        <p class="hidden" role="status">
          {state === 'done' && `${name}: the answer is complete${withoutTrace ? '' : `, ${tokens.length} tokens`}.`}
        </p>
      </div>
      {isTraced && <TokenDetail tokens={tokens} active={active} budget={budget} line={held} />}
      {isTraced && <Chart tokens={tokens} budget={budget} active={active} setActive={setActive} />}
      {extension !== null && sent !== null && (
        <footer class="lane-foot">
          <dl class="held">
            <div>
              <dt>floor held</dt>
              <dd>{extension.floor === undefined ? '?' : inTwo(extension.floor)}</dd>
            </div>
            <div>
              <dt>spent</dt>
              <dd>
                {nats(extension.spent ?? null)} <span class="note">of {nats(extension.budget ?? null)}</span>
              </dd>
            </div>
            <div>
              <dt>ended by</dt>
              <dd>
                {finishReason === 'stop' ? 'itself' : finishReason === 'length' ? 'its length' : 'the second look'}
              </dd>
            </div>
          </dl>
          <section>
            <h3>The prompt, as it was read</h3>
            <Look extension={extension} />
          </section>
          {why}
          {extension.receipt !== undefined && (
            <section>
              <h3>The receipt</h3>
              <Receipt
                token={extension.cache?.receipt ?? extension.receipt}
                first={extension.cache?.receipt === undefined ? null : extension.receipt}
                sent={sent}
                text={text}
              />
            </section>
          )}
          <details>
            <summary>As code</summary>
            <AsCode sent={sent} line={line} />
          </details>
        </footer>
      )}
    </article>
  );
}
