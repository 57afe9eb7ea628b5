/** The page of Studio: `<fanlight-studio>` and the elements that it is made of. */
import './elements/app.js';
