/** The page of Studio: `<fanlight-studio>` and the elements that it is made of. */
import './elements/app.js';

// The steps after the first one come when the page has nothing else to do: it is usable before.
(globalThis.requestIdleCallback ?? setTimeout)(() => {
  for (const step of [import('./elements/gallery.js'), import('./elements/train.js'), import('./elements/try.js'), import('./elements/keep.js'),
    import('./elements/tag.js')]) {
    step.catch(() => {}); // the app says that it is offline
  }
});
