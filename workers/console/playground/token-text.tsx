/**
 * The answer, token by token, each as deep in colour as its safety weight. It is one stop of the
 * keyboard: the arrows move inside. Spans have no width of their own, so that scripts whose letters
 * join, and those that run from right to left, look as they would without.
 */
import { useId } from 'preact/hooks';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { inTwo } from '../net/words.ts';
import { isCostly } from './gate.ts';

export function TokenText({
  tokens,
  active,
  setActive,
  label,
}: {
  tokens: readonly TokenTrace[];
  active: number | null;
  setActive: (index: number | null) => void;
  label: string;
}) {
  const id = useId();
  const last = tokens.length - 1;
  const move = (event: KeyboardEvent) => {
    const at = active ?? -1;
    const to: Record<string, number | null> = {
      ArrowRight: Math.min(at + 1, last),
      ArrowLeft: Math.max(at - 1, 0),
      ArrowDown: Math.min(at + 10, last),
      ArrowUp: Math.max(at - 10, 0),
      Home: 0,
      End: last,
      Escape: null,
    };
    if (!(event.key in to)) return;
    event.preventDefault();
    setActive(to[event.key] ?? null);
  };
  return (
    <div
      class="tokens"
      role="listbox"
      tabIndex={0}
      dir="auto"
      aria-label={`${label}, token by token`}
      aria-activedescendant={active === null ? undefined : `${id}-${active}`}
      onKeyDown={move}
      onFocus={() => active === null && setActive(0)}
    >
      {tokens.map((token, index) => (
        // The order of an answer's tokens never changes.
        <span
          key={index}
          id={`${id}-${index}`}
          role="option"
          tabIndex={-1}
          aria-selected={index === active}
          aria-label={`${shown(token.text)}, weight ${inTwo(token.weight)}`}
          class={isCostly(tokens, index) ? 'token costly' : 'token'}
          style={{ '--w': token.weight }}
          onPointerEnter={() => setActive(index)}
          onPointerDown={() => setActive(index)}
        >
          {token.text}
        </span>
      ))}
    </div>
  );
}

/** What a token looks like where white space would not be seen. */
export function shown(text: string): string {
  if (text === '') return '∅';
  return text.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replaceAll(' ', '␣');
}
