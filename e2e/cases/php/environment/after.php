<?php var_dump(getenv('LEFT_BEHIND'), $_SERVER['LEFT_BEHIND'] ?? null);
