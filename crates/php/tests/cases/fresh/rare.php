<?php
// Each changes what a rewind looks at after a call of that very function alone.
echo match ($_GET['do']) {
    'nice' => proc_nice(1) ? 'done' : 'refused',
    'session' => posix_setsid() > 0 ? 'done' : 'refused',
    'group' => posix_getpgid(0) === getmypid() ? 'left' : (posix_setpgid(0, 0) ? 'done' : 'refused'),
};
