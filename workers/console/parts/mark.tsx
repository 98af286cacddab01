/** The mark on the hull: how deep, and no deeper. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg class="mark" viewBox="0 0 32 32" width={size} height={size} aria-hidden="true">
      <circle cx="16" cy="16" r="9" />
      <path d="M1 16h30" />
    </svg>
  );
}
