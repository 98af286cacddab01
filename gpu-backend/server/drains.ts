/**
 * Why a backend takes nothing new. It drains as long as there is any reason: its process ends
 * (`closing`), somebody has asked it to (`request`), or the operator has drained it in the pool
 * directory (`directory`). Only the first one is for good.
 */
type DrainReason = 'closing' | 'request' | 'directory';

export type Drains = {
  readonly isDraining: boolean;
  set(reason: DrainReason, on: boolean): void;
};

/** `onChange` is called when the backend begins to drain, or takes new requests again. */
export function createDrains(onChange: (isDraining: boolean) => void = () => undefined): Drains {
  const reasons = new Set<DrainReason>();
  return {
    get isDraining() {
      return reasons.size > 0;
    },
    set(reason, on) {
      const before = reasons.size > 0;
      if (on) reasons.add(reason);
      else reasons.delete(reason);
      const after = reasons.size > 0;
      if (before !== after) onChange(after);
    },
  };
}
