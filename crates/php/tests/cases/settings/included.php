<?php function included() { return 1; }
