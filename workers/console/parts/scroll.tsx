import type { ComponentChildren } from 'preact';

/** What may be wider than the screen. The keyboard reaches it, and its arrow keys move it. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
    <section class="scroll" tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
