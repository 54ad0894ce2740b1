export { sweep } from './sweep'
export { diagonal, panels } from './factor'
