<?php
// Other programs than PHP know no PHP settings.
require __DIR__ . '/../prelude.php';
$commands = ['cat %s', 'dd if=%s status=none', 'tar -cf - %s', 'head -c 65536 %s', 'sh -c "read line < %s; echo \$line"', 'ls -la %s'];
foreach ([...$victim->files, ...$victim->directories] as $path) {
    foreach ($commands as $form) {
        attempt(sprintf($form, $path), fn() => command(sprintf($form, escapeshellarg($path))));
    }
}
