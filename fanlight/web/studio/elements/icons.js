import { svg } from 'lit';

/** @param {unknown} inside on a ground of 24 x 24, drawn with lines */
const icon = (inside) => svg`<svg viewBox="0 0 24 24" aria-hidden="true">${inside}</svg>`;

/** Pictures beside words; where one stands alone, the button has an `aria-label`. */
export const icons = {
  camera: icon(svg`<path d="M3 8.5A1.5 1.5 0 0 1 4.5 7H7l1.6-2.500h6.800L17 7h2.500A1.5 1.5 0 0 1 21 8.500v9a1.5 1.5 0 0 1-1.5 1.500h-15A1.5 1.5 0 0 1 3 17.500z"/><circle cx="12" cy="12.8" r="3.6"/>`),
  photos: icon(svg`<rect x="3" y="5" width="18" height="14" rx="2"/><circle cx="8.5" cy="10" r="1.6"/><path d="m4 17 4.8-4 3.2 2.6 3.6-4 4.4 4.7"/>`),
  folder: icon(svg`<path d="M3 7.500A1.5 1.5 0 0 1 4.5 6h4.700l2 2.300h8.300A1.5 1.5 0 0 1 21 9.800v7.700a1.5 1.5 0 0 1-1.5 1.500h-15A1.5 1.5 0 0 1 3 17.500z"/>`),
  zip: icon(svg`<path d="M6 3.500h8l4 4v13H6zM14 3.500v4h4M10 6h1.500M10 9h1.500M10 12h1.500v3.500H10z"/>`),
  paste: icon(svg`<path d="M8.5 5H6v15.500h12V5h-2.5"/><path d="M8.5 3.500h7V7h-7zM9 12h6M9 15.500h4"/>`),
  trash: icon(svg`<path d="M4.5 7h15M9.5 7V4.500h5V7M6.5 7l.8 12.500h9.400L17.5 7M10.3 10.500v5.500M13.7 10.500v5.5"/>`),
  undo: icon(svg`<path d="M8.5 5 4.5 9l4 4M4.5 9h9.300a5 5 0 0 1 0 10H9"/>`),
  plus: icon(svg`<path d="M12 5v14M5 12h14"/>`),
  more: icon(svg`<path d="M5.5 12h.01M12 12h.01M18.5 12h.01" stroke-width="3"/>`),
  close: icon(svg`<path d="m6 6 12 12M18 6 6 18"/>`),
  check: icon(svg`<path d="m5 12.5 4.5 4.500L19 7.5"/>`),
  move: icon(svg`<path d="M4 12h15M13.5 6.5 19 12l-5.5 5.5"/>`),
  left: icon(svg`<path d="M14.5 5.5 8 12l6.5 6.5"/>`),
  right: icon(svg`<path d="M9.5 5.5 16 12l-6.5 6.5"/>`),
  down: icon(svg`<path d="m6 9.5 6 6 6-6"/>`),
  mirror: icon(svg`<path d="M12 3.500v17M8.5 7 3.5 17.500h5zM15.5 7l5 10.500h-5z"/>`),
  turn: icon(svg`<path d="M5 9.500A7.5 7.5 0 0 1 18.5 8M19 14.500A7.5 7.5 0 0 1 5.5 16M18.8 4v4.200h-4.200M5.2 20v-4.200h4.2"/>`),
  timer: icon(svg`<circle cx="12" cy="13.5" r="7"/><path d="M12 13.500V9.500M9.5 3.500h5"/>`),
  twins: icon(svg`<rect x="3.5" y="7.5" width="11" height="11" rx="1.5"/><path d="M8 4.500h10.500A1.5 1.5 0 0 1 20 6v10.5"/>`),
  shield: icon(svg`<path d="M12 3.5 19 6v5.500c0 4.3-2.8 7.3-7 9-4.2-1.7-7-4.7-7-9V6z"/><path d="m9 11.8 2.2 2.2 4-4.2"/>`),
  test: icon(svg`<path d="M9.5 3.500h5M10.5 3.500v5.800L5.6 18a1.7 1.7 0 0 0 1.5 2.500h9.800a1.7 1.7 0 0 0 1.5-2.500l-4.9-8.700V3.500M8 15h8"/>`),
  download: icon(svg`<path d="M12 4v11M7.5 10.5 12 15l4.5-4.500M4.5 19.500h15"/>`),
  upload: icon(svg`<path d="M12 15.500v-11M7.5 9 12 4.5 16.5 9M4.5 19.500h15"/>`),
  copy: icon(svg`<rect x="8.5" y="8.5" width="11.5" height="11.5" rx="1.5"/><path d="M15.5 5.500v-.5a1.5 1.5 0 0 0-1.5-1.500H5A1.5 1.5 0 0 0 3.5 5v9A1.5 1.5 0 0 0 5 15.500h.5"/>`),
  pen: icon(svg`<path d="m5 16-.8 3.800L8 19 19 8l-3-3zM14 7l3 3"/>`),
  spark: icon(svg`<path d="M12 3.5 13.9 10l6.6 2-6.6 2L12 20.5 10.1 14l-6.6-2 6.6-2z"/>`),
  eye: icon(svg`<path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z"/><circle cx="12" cy="12" r="3"/>`),
  gift: icon(svg`<path d="M4.5 11v9h15v-9M3.5 7.500h17V11h-17zM12 7.500V20M12 7.500C9 7.5 7.3 6.4 7.5 5c.3-1.8 3.5-1.6 4.5 2.5 1-4.1 4.2-4.3 4.5-2.5.2 1.4-1.5 2.5-4.5 2.500z"/>`),
  tag: icon(svg`<path d="M4 4.500h7.500l8.5 8.5-7 7L4.5 11.500z"/><path d="M8 8.500h.01" stroke-width="2.5"/>`),
  offline: icon(svg`<path d="M7.5 18h9a4 4 0 0 0 1.8-7.600M14.8 6.700A5.6 5.6 0 0 0 7 9.800a4.2 4.2 0 0 0-1.5 7.700M4 4l16 16"/>`),
  cloudless: icon(svg`<rect x="4" y="4.5" width="16" height="11.5" rx="1.5"/><path d="M8.5 20h7M12 16v4"/>`),
  stop: icon(svg`<rect x="6.5" y="6.5" width="11" height="11" rx="1.5"/>`),
  warn: icon(svg`<path d="M12 4 21 19.500H3zM12 10v4.500M12 17h.01"/>`),
};
